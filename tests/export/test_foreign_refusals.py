"""Files that are no use: each is refused with its reason, and nothing is opened outside its folder."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from foreign_models import K, body, kornia, maps_only, run, saved
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from npuface_export.foreign import read as reading
from npuface_export.foreign.channels import channels_named
from npuface_export.foreign.fused_conv import without_vendor_operators
from npuface_export.foreign.network import ForeignOptions, foreign_network
from npuface_export.foreign.read import read_foreign
from npuface_runtime.errors import UserError


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return str(caught.value)


def why_not(model: onnx.ModelProto, folder: Path, **options: object) -> str:
    return refusal(lambda: foreign_network(saved(model, folder), ForeignOptions(**options)))


def test_a_missing_file(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(lambda: read_foreign(tmp_path / "gone.onnx"))


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07\x12\xff", b"\x00" * 100])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(content)
    assert "it is no sound ONNX model" in refusal(lambda: read_foreign(path))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(maps_only(9, 14, 13).SerializeToString())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "theirs.onnx"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    with contextlib.suppress(UserError):
        read_foreign(path)


def test_a_file_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 100)
    assert "it is larger than 100 bytes" in why_not(maps_only(9, 14, 13), tmp_path)


@pytest.mark.parametrize("opset", [7, 22])
def test_an_operator_set_that_is_not_read(tmp_path: Path, opset: int) -> None:
    model = maps_only(9, 14, 13)
    model.opset_import[0].version = opset
    assert f"its ONNX operator set is {opset}, 8 to 21 are read" in why_not(model, tmp_path)


def _dim(index: int, value: int | str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        dim = model.graph.input[0].type.tensor_type.shape.dim[index]
        dim.ClearField("dim_value")
        if isinstance(value, str):
            dim.dim_param = value
        else:
            dim.dim_value = value

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_dim(0, 4), "its batch is 4"),
        (_dim(2, "height"), "the shape of its input is not fixed: [1, 3, 'height', 56]"),
        (_dim(1, 4), "its input [1, 4, 36, 56] is no RGB picture"),
        (_dim(3, 100_000), "its input [1, 3, 36, 100000] is no RGB picture"),
    ],
)
def test_an_input_that_cannot_be_used(tmp_path: Path, change: Callable[[onnx.ModelProto], None], why: str) -> None:
    model = maps_only(9, 14, 13)
    change(model)
    assert why in why_not(model, tmp_path)


def test_two_inputs(tmp_path: Path) -> None:
    model = maps_only(9, 14, 13)
    model.graph.input.append(helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, [1, 1, 36, 56]))
    assert "it has 2 inputs: picture, mask" in why_not(model, tmp_path)


def test_an_open_batch_is_one_picture(tmp_path: Path) -> None:
    model = kornia(9, 14, 13)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    foreign = read_foreign(saved(model, tmp_path))
    assert foreign.graph.shape("maps") == (1, K, 9, 14)


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float, name: str) -> None:
    model = maps_only(9, 14, 13)
    for tensor in model.graph.initializer:
        if tensor.name == "weight":
            array = numpy_helper.to_array(tensor).copy()
            array[1, 2, 0, 0] = value
            tensor.CopyFrom(numpy_helper.from_array(array, "weight"))
    assert f"a weight in 'weight' is {name}" in why_not(model, tmp_path)


def _with_outside_weights(folder: Path, location: str) -> onnx.ModelProto:
    model = maps_only(9, 14, 13)
    for tensor in model.graph.initializer:
        if tensor.name == "weight":
            content = tensor.raw_data
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=location)
    (folder / "weights.bin").write_bytes(content)
    return model


def test_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    model = read_foreign(saved(_with_outside_weights(tmp_path, "weights.bin"), tmp_path))
    entering = np.random.default_rng(0).standard_normal((1, 3, 36, 56)).astype(np.float32)
    np.testing.assert_array_equal(run(model.original, entering)[0], run(maps_only(9, 14, 13), entering)[0])


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "inner/../../weights.bin", "link.bin"])
def test_weights_outside_the_folder_are_not_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    model = _with_outside_weights(tmp_path, location)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    why = refusal(lambda: read_foreign(_written(model, folder)))
    assert f"the weights of 'weight' lie outside its folder: {location}" in why


def test_missing_outside_weights(tmp_path: Path) -> None:
    model = _with_outside_weights(tmp_path, "gone.bin")
    assert "its weights gone.bin are missing" in refusal(lambda: read_foreign(_written(model, tmp_path)))


def test_outside_weights_shorter_than_they_say(tmp_path: Path) -> None:
    model = _with_outside_weights(tmp_path, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(b"\x00" * 7)
    assert "it is no sound ONNX model" in refusal(lambda: read_foreign(_written(model, tmp_path)))


def _written(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "theirs.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _vendor(model: onnx.ModelProto, operator: str, domain: str, **attributes: object) -> onnx.ModelProto:
    """The model with its first convolution, and what follows it, as one operator of a vendor."""
    conv, relu = model.graph.node[0], model.graph.node[1]
    fused = helper.make_node(operator, conv.input, relu.output, "fused", domain=domain, strides=[4, 4], **attributes)
    model.graph.node.remove(relu)
    conv.CopyFrom(fused)
    model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


@pytest.mark.parametrize(
    ("attributes", "operators"),
    [
        ({"activation": "Relu"}, ["Conv", "Relu"]),
        ({"activation": "Clip", "activation_params": [0.0, 6.0]}, ["Conv", "Clip"]),
        ({"activation": "LeakyRelu", "activation_params": [0.2]}, ["Conv", "LeakyRelu"]),
        ({"activation": "HardSigmoid", "activation_params": [0.2, 0.5]}, ["Conv", "HardSigmoid"]),
        ({}, ["Conv"]),
    ],
)
def test_onnxruntimes_fused_conv_is_taken_apart(
    tmp_path: Path, attributes: dict[str, object], operators: list[str]
) -> None:
    model = _vendor(maps_only(9, 14, 13), "FusedConv", "com.microsoft", **attributes)
    standard = without_vendor_operators(model)
    assert [(node.domain, node.op_type) for node in standard.graph.node] == [("", name) for name in operators]
    onnx.checker.check_model(standard)
    entering = np.random.default_rng(0).standard_normal((1, 3, 36, 56)).astype(np.float32)
    np.testing.assert_allclose(run(standard, entering)[0], run(model, entering)[0], atol=1e-5)
    assert without_vendor_operators(standard) == standard, "a second pass changes nothing"
    assert foreign_network(saved(model, tmp_path), ForeignOptions()).points == K


@pytest.mark.parametrize(
    ("operator", "domain", "attributes", "why"),
    [
        ("FusedConv", "com.microsoft", {"activation": "Mish"}, "its activation 'Mish' is unknown"),
        ("NchwcConv", "com.microsoft.nchwc", {}, "it is not in the ONNX standard"),
        ("Magic", "ai.acme", {}, "cannot take the operator ai.acme.Magic of the node 'fused'"),
    ],
)
def test_other_vendor_operators_are_refused_by_name(
    tmp_path: Path, operator: str, domain: str, attributes: dict[str, object], why: str
) -> None:
    found = why_not(_vendor(maps_only(9, 14, 13), operator, domain, **attributes), tmp_path)
    assert why in found
    assert f"{domain}.{operator}" in found


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"heatmaps": "map"}, "cannot find the tensor 'map': the model has none of that name. Did you mean maps"),
        ({"heatmaps": "maps[2:9]"}, "cannot take the channels 2:9: the tensor 'maps' is [1, 3, 9, 14]"),
        ({"offsets": ("maps", "maps")}, "no heatmaps are named"),
        (
            {"heatmaps": "maps[0:2]", "offsets": ("maps", "maps[1:3]")},
            "its maps are [3, 9, 14], the heatmaps [2, 9, 14]",
        ),
        ({"heatmaps": "picture"}, "the tensor 'picture' is the input"),
        ({"grid": "hexagonal"}, "the grids are half-pixel, corner, align-corners"),
        ({"std": (1.0, 0.0, 1.0)}, "three, three positive and one"),
        ({"margin": float("nan")}, "three, three positive and one"),
        ({"beta": -1.0}, "it is not a positive number"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, object], why: str) -> None:
    assert why in why_not(maps_only(9, 14, 13), tmp_path, **options)


@pytest.mark.parametrize(
    ("head", "output", "why"),
    [
        ("a = GlobalAveragePool (maps)\nb = Flatten (a)", f"float[1, {K}] b", "the model is decoded already"),
        (
            "b = MaxPool <kernel_shape = [3, 3], strides = [3, 3]> (maps)",
            f"float[1, {K}, 3, 4] b",
            "3 x 4 cells, not 4",
        ),
    ],
)
def test_an_output_that_is_no_heatmap(tmp_path: Path, head: str, output: str, why: str) -> None:
    assert why in why_not(body(9, 14, 13, head, output), tmp_path)


def test_channels_are_named_like_slices(tmp_path: Path) -> None:
    graph = read_foreign(saved(maps_only(9, 14, 13), tmp_path)).graph
    assert channels_named(graph, "maps").count(graph) == K
    assert channels_named(graph, "maps[1:3]").count(graph) == 2


def test_a_tensor_of_gigabytes_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    """A few hundred bytes can ask for any amount of memory."""
    model = maps_only(9, 14, 13)
    graph, output = model.graph, model.graph.output[0].name
    many = numpy_helper.from_array(np.array([400_000_000], np.int64), "many")
    graph.initializer.append(many)
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    graph.node.append(helper.make_node("ConstantOfShape", ["many"], ["large"], value=one))
    graph.node.append(helper.make_node("ReduceMax", ["large"], ["small"], keepdims=1))
    graph.node.append(helper.make_node("Mul", [output, "small"], ["scaled"]))
    graph.output[0].name = "scaled"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "'large' in it has the shape [400000000], over 268435456 numbers" in why_not(model, tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
