"""Qualcomm's compiler and emulator: what runs on the HTP, what it computes, and what users are told when it refuses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from qdq_models import operators_model
from tflite_models import DRAWN_SPEC, SIZE, central_pictures, new_folder
from torch import Tensor, nn

from npuface_export.compilers import Compilation, CpuOperator, compiler_by_name
from npuface_export.compilers.onnx_placement import onnx_operators
from npuface_export.converters import ModelFiles, Recipe, converter_by_name
from npuface_export.converters.converter import Quantizer
from npuface_export.decode import form_by_name
from npuface_export.decode.form import Need
from npuface_export.target import Target, target_by_name, targets
from npuface_export.toolchains import toolchain_by_name
from npuface_runtime.engines import open_session
from npuface_runtime.errors import UserError

QNN = converter_by_name("qnn")
COMPILER = compiler_by_name("qualcomm")
TARGET = target_by_name("qualcomm-htp-v75")
QUALCOMM_TARGETS = {name: target for name, target in targets().items() if target.compiler == "qualcomm"}
needs_toolchain = pytest.mark.skipif(
    toolchain_by_name("qualcomm").version() is None,
    reason="the toolchain qualcomm is not installed: npuface toolchain install qualcomm",
)


class _Blurred(nn.Module):
    """Like tflite_models.Drawn, but with the kernels of networks: the HTP's depthwise 2 x 2 is not to be relied on."""

    def __init__(self) -> None:
        super().__init__()
        self.halvings = nn.Sequential(*[nn.Conv2d(3, 3, 3, 2, 1, groups=3, bias=False) for _ in range(2)])
        for halving in self.halvings:
            nn.init.constant_(halving.weight, 1 / 9)

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.halvings(pictures)
        return maps


@cache
def _quantizer(form: str) -> Quantizer:
    """Of a small network with a decode."""
    made = QNN.convert(_Blurred().eval(), form_by_name(form).build(DRAWN_SPEC), (SIZE, SIZE), new_folder())
    return QNN.quantizer(made, central_pictures())


@cache
def _quantized(form: str, decode: str) -> ModelFiles:
    return _quantizer(form).write(Recipe(decode=decode), new_folder())


@pytest.fixture(scope="module")
def safe() -> ModelFiles:
    return _quantized("relative-threshold", "int16")


@pytest.fixture(scope="module")
def compiled(safe: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Compilation:
    return COMPILER.compile(safe.files["model"], TARGET, tmp_path_factory.mktemp("compiled"))


def _entering(model: ModelFiles, count: int) -> list[NDArray[np.uint8]]:
    scale, zero = model.input.scale, model.input.zero_point
    assert scale is not None
    assert zero is not None
    return [np.clip(np.rint(p / scale) + zero, 0, 255).astype(np.uint8) for p in central_pictures(count)]


def _without_float(target: Target) -> Target:
    """The same for an HTP v68 that has no float units: what would run in float is refused there."""
    return replace(target, compiler_options={"htp_arch": "68", "soc_model": "35"})


def test_every_operator_of_the_safe_form_works_in_one_type(safe: ModelFiles) -> None:
    graph = onnx.load(safe.files["model"]).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    types = {
        name: constants[node.input[2]].dtype.name
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        for name in node.output
    }
    types |= {
        node.input[0]: constants[node.input[2]].dtype.name
        for node in graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in types
    }
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            found = {types[name] for name in (*node.input, *node.output)} - {"int8", "int32"}
            assert len(found) == 1, (node.name, found)


@needs_toolchain
def test_safe_form_is_one_node_on_the_npu(safe: ModelFiles, compiled: Compilation) -> None:
    made = compiled
    operators = onnx_operators(onnx.load(safe.files["model"]))
    assert made.placement is not None
    assert (made.placement.npu, made.placement.cpu) == (len(operators), 0)
    assert (made.placement.decode_npu, made.placement.decode_cpu) == (len(operators) - 2, 0)
    graph = onnx.load(made.artifact).graph
    assert [node.op_type for node in graph.node] == ["EPContext"]
    attributes = {attribute.name: attribute for attribute in graph.node[0].attribute}
    assert attributes["embed_mode"].i == 1
    assert made.estimate is not None
    assert made.estimate.flash_bytes == len(attributes["ep_cache_context"].s)
    assert (made.estimate.total_ms, made.estimate.cycles) == (None, None)  # nothing that a host's emulator took
    assert (made.estimate.kind, "no latency" in str(made.estimate.note)) == ("exact size", True)
    assert [path.name for path in made.artifact.parent.iterdir()] == ["device.onnx"]


@needs_toolchain
def test_placement_knows_who_reads_whom(compiled: Compilation) -> None:
    placement = compiled.placement
    assert placement is not None
    by_name = {placed.name: placed for placed in placement.operators}
    subtract = next(placed for placed in placement.operators if placed.operator == "Sub")
    read = {placement.operators[i].operator for i in subtract.reads}
    assert read == {"Conv", "Mul"}  # the heatmaps and t times their maximum, across Q and DQ
    assert len(by_name) == len(placement.operators)


@needs_toolchain
@pytest.mark.parametrize(
    ("name", "count"), [(name, 3 if name == "qualcomm-htp-v68" else 1) for name in QUALCOMM_TARGETS]
)
def test_emulated_outputs_are_the_htps_own(name: str, count: int, safe: ModelFiles, tmp_path: Path) -> None:
    """They differ from those of onnxruntime's CPU kernels, and stay within 0.02 of the largest value."""
    pictures = _entering(safe, count)
    made = COMPILER.compile(safe.files["model"], QUALCOMM_TARGETS[name], tmp_path, pictures)
    assert made.placement is not None
    assert made.placement.cpu == 0
    assert made.emulation is not None
    assert made.emulation.oracle.startswith(f"Qualcomm's HTP {name.rpartition('-')[2]} emulator")
    with open_session("onnxruntime", safe.files) as session:
        expected = np.stack([session.run(picture)[0] for picture in pictures]).astype(np.int64)
    found = np.stack([outputs[0] for outputs in made.emulation.outputs])
    assert found.dtype == np.uint16
    assert found.shape == expected.shape
    difference = np.abs(found - expected)
    assert 0 < difference.max() <= 0.02 * 65535
    assert len({picture.tobytes() for picture in found}) == count


@needs_toolchain
@pytest.mark.parametrize(
    ("form", "decode"),
    [("seed", "int8"), ("seed", "int16"), ("relative-threshold", "int8"), ("threshold-marginals", "int16")],
)
def test_other_forms_run_on_the_npu_as_well(form: str, decode: str, tmp_path: Path) -> None:
    made = COMPILER.compile(_quantized(form, decode).files["model"], _without_float(TARGET), tmp_path)
    assert made.placement is not None
    assert made.placement.cpu == 0
    assert [node.op_type for node in onnx.load(made.artifact).graph.node] == ["EPContext"]


@needs_toolchain
def test_an_operator_that_the_npu_lacks_is_reported_with_the_vendors_reason(tmp_path: Path) -> None:
    """Negative control: it is left to the CPU in an artifact that holds the rest, and its results are still right."""
    model = operators_model(["Conv", "Det"])
    onnx.save(model, tmp_path / "model.onnx")
    picture = np.random.default_rng(0).integers(0, 255, (1, 4, 8, 8)).astype(np.uint8)
    made = COMPILER.compile(tmp_path / "model.onnx", TARGET, tmp_path, [picture])
    assert made.placement is not None
    assert (made.placement.npu, made.placement.cpu) == (1, 1)
    (left,) = made.placement.cpu_operators
    assert (left.operator, left.count) == ("Det", 1)
    assert "Operators of type `Det` are not supported by QNN EP" in str(left.reason)
    counts = Counter(node.op_type for node in onnx.load(made.artifact).graph.node)
    assert counts["EPContext"] == counts["Det"] == 1
    assert made.emulation is not None
    assert len(made.emulation.outputs[0]) == len(model.graph.output)


@needs_toolchain
def test_what_cannot_be_compiled_at_all_names_the_node_and_the_reason(tmp_path: Path) -> None:
    """Negative control: depthwise convolutions of signed 16 bits are refused, and with them the whole model."""
    onnx.save(operators_model(["Conv", "Relu"], np.int16, depthwise=2), tmp_path / "model.onnx")
    with pytest.raises(UserError) as refusal:
        COMPILER.compile(tmp_path / "model.onnx", TARGET, tmp_path)
    assert "cannot compile for qualcomm-htp-v75" in refusal.value.what
    reason = "backendValidateOpConfig refuses DepthWiseConv2d with error code 3110"
    assert f"it leaves Conv Conv: {reason} to the CPU" in refusal.value.why
    assert "its log is" in refusal.value.why
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@needs_toolchain
def test_mixed_types_would_run_in_float(tmp_path: Path) -> None:
    """Negative control of one type: without float units a product of uint8 and uint16 is left to the CPU."""
    graph_of_both = operators_model(["Mul"])
    model = _mixed(graph_of_both)
    onnx.save(model, tmp_path / "model.onnx")
    placement = COMPILER.compile(tmp_path / "model.onnx", _without_float(TARGET), tmp_path).placement
    assert placement is not None
    assert placement.cpu_operators == (CpuOperator("Mul", 1, "Failed to add node."),)


def _mixed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with 16-bit results."""
    wide = np.asarray(0, np.uint16)
    model.graph.initializer.append(onnx.numpy_helper.from_array(wide, "wide_zero"))
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            node.input[2] = "wide_zero"
    for value in model.graph.output:
        value.type.tensor_type.elem_type = onnx.TensorProto.UINT16
    del model.graph.value_info[:]
    return model


@needs_toolchain
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_operator_of_the_list_runs_in_its_types(dtype: type[np.integer], tmp_path: Path) -> None:
    operators = TARGET.operators
    assert operators
    listed = [name for name, limit in operators.items() if np.dtype(dtype).name in limit.dtypes]
    assert len(listed) > 40
    onnx.save(operators_model(listed, dtype), tmp_path / "model.onnx")
    placement = COMPILER.compile(tmp_path / "model.onnx", _without_float(TARGET), tmp_path).placement
    assert placement is not None
    assert placement.cpu_operators == ()
    assert {placed.operator for placed in placement.operators} == set(listed)


@needs_toolchain
def test_a_number_that_is_no_chip_of_that_kind_is_refused(safe: ModelFiles, tmp_path: Path) -> None:
    wrong = replace(TARGET, compiler_options={"htp_arch": "75", "soc_model": "9999"})
    with pytest.raises(UserError, match="cannot compile for qualcomm-htp-v75"):
        COMPILER.compile(safe.files["model"], wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_toolchain_names_the_command(safe: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPUFACE_TOOLCHAINS", str(tmp_path / "none"))
    with pytest.raises(UserError, match="Run: npuface toolchain install qualcomm") as refusal:
        COMPILER.compile(safe.files["model"], TARGET, tmp_path)
    assert "the toolchain qualcomm is not installed" in refusal.value.why
    assert list(tmp_path.iterdir()) == []


@needs_toolchain
@pytest.mark.parametrize(("stride", "runs"), [(2, True), (4, False)])
def test_the_stride_limit_is_that_of_the_compiler(stride: int, runs: bool, tmp_path: Path) -> None:
    onnx.save(operators_model(["Conv"], depthwise=stride), tmp_path / "model.onnx")
    need = Need("Conv", (stride, stride), (stride, stride))
    assert (TARGET.refuses(need) is None) == runs
    if runs:
        COMPILER.compile(tmp_path / "model.onnx", TARGET, tmp_path)
    else:
        with pytest.raises(UserError, match="Failed to finalize QNN graph"):
            COMPILER.compile(tmp_path / "model.onnx", TARGET, tmp_path)


def test_targets_are_one_a_generation() -> None:
    found = {name: target.compiler_options["htp_arch"] for name, target in QUALCOMM_TARGETS.items()}
    assert found == {f"qualcomm-htp-v{arch}": arch for arch in ("68", "73", "75", "79")}
    assert all(target.device is not None and target.device.engine == "qnn" for target in QUALCOMM_TARGETS.values())
