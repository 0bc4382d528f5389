"""The ONNX route: torch -> ONNX, a decode behind any model's heatmaps, the cut in front of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from decode_reference import gaussian_maps, relative_threshold
from numpy.typing import NDArray
from onnx import parser
from small_networks import POINTS, SIZE, STRIDE, BrightSpots
from torch import Tensor, nn

from npuface_export.converters.onnx_graph import (
    HEATMAPS,
    attach_decode,
    cut_at,
    downstream,
    export_onnx,
    load_onnx,
    operator_counts,
    tensor_info,
)
from npuface_export.converters.onnxruntime import torch_to_onnx
from npuface_export.decode import FORMS, HeatmapSpec
from npuface_export.decode.grid import exact_grid
from npuface_runtime.errors import UserError

SPEC = HeatmapSpec(points=2, height=12, width=16)
DECODE_OPERATORS = {"MaxPool": 2, "Mul": 1, "Sub": 1, "Relu": 1, "Conv": 6, "Concat": 1}


def third_party(opset: int) -> onnx.ModelProto:
    """A model whose heatmaps are an inner tensor of another name."""
    text = f"""
        <ir_version: 8, opset_import: ["" : {opset}]>
        agraph (float[1, 2, 12, 16] image) => (float[1, 2, 12, 16] scores)
        {{
            hm = Relu (image)
            scores = Sigmoid (hm)
        }}
    """
    model: onnx.ModelProto = parser.parse_model(text)
    return model


def run(model: onnx.ModelProto, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    output: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: picture})[0]
    return output


@pytest.mark.parametrize("opset", [13, 18, 21])
def test_decode_attaches_to_any_model(opset: int) -> None:
    model = attach_decode(third_party(opset), FORMS["relative-threshold"], SPEC, tensor="hm")
    counts = dict(operator_counts(model))
    assert counts.pop("Relu") == DECODE_OPERATORS["Relu"] + 1
    assert counts == {name: n for name, n in DECODE_OPERATORS.items() if name != "Relu"}
    assert [output.name for output in model.graph.output] == ["decoded"]
    maps = gaussian_maps(np.array([(0.0, 11.0), (7.3, 4.6)]), SPEC.height, SPEC.width, 1.5, 0.0, seed=0)
    mass_x, first_x, mass_y, first_y, _ = run(model, maps).reshape(5, -1)
    across, down = exact_grid(SPEC.width), exact_grid(SPEC.height)
    x = (127 * first_x / mass_x - across.offset) / across.step
    y = (127 * first_y / mass_y - down.offset) / down.step
    np.testing.assert_allclose(np.stack([x, y], 1), relative_threshold(maps, SPEC.threshold), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.kinds == ("heatmaps",)])
def test_the_heatmaps_keep_their_name_and_values(name: str) -> None:
    """Even where simplifying could fold the decode's scale into the network."""
    network = BrightSpots().eval()
    cells = SIZE // STRIDE
    model = torch_to_onnx(network, FORMS[name].build(HeatmapSpec(POINTS, cells, cells)), (SIZE, SIZE))
    picture = np.random.default_rng(3).standard_normal((1, 3, SIZE, SIZE)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(picture)).numpy()
    np.testing.assert_allclose(run(cut_at(model, HEATMAPS), picture), expected, rtol=0, atol=1e-5)


def test_the_host_form_ends_at_the_heatmaps() -> None:
    model = attach_decode(third_party(18), FORMS["host"], SPEC, tensor="hm")
    assert [output.name for output in model.graph.output] == [HEATMAPS]
    assert operator_counts(model) == {"Relu": 1}


def test_downstream_names_the_decode_alone() -> None:
    model = attach_decode(third_party(18), FORMS["relative-threshold"], SPEC, tensor="hm")
    assert len(downstream(model, HEATMAPS)) == sum(DECODE_OPERATORS.values())


def test_the_model_tells_nothing_of_where_it_was_made() -> None:
    model = torch_to_onnx(BrightSpots().eval(), FORMS["host"].build(HeatmapSpec(POINTS, 16, 16)), (SIZE, SIZE))
    content = model.SerializeToString()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b".py" not in content
    assert not model.metadata_props
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


def test_a_decode_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        attach_decode(third_party(18), FORMS["seed"], HeatmapSpec(3, 12, 16), tensor="hm")
    assert caught.value.why == "the heatmaps have shape (1, 2, 12, 16), the decode takes (1, 3, 12, 16)"


def test_a_model_without_the_tensor_is_refused() -> None:
    with pytest.raises(UserError, match=r"the model has no such tensor\. Its last ones are hm, scores") as caught:
        attach_decode(third_party(18), FORMS["seed"], SPEC, tensor="heat")
    assert caught.value.what == "cannot find the heatmaps 'heat'"


def test_a_tensor_without_fixed_shape_is_refused() -> None:
    model = third_party(18)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "rows"
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    with pytest.raises(UserError, match="its shape is not fixed"):
        attach_decode(model, FORMS["seed"], SPEC, tensor="hm")


class _Fickle(nn.Module):
    """Computes something else while it is exported."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if torch.compiler.is_exporting() else x


def test_parity_with_torch_is_asserted() -> None:
    """Negative control: a module that changes between export and check is caught."""
    with pytest.raises(UserError, match="the ONNX model is not the torch network: their outputs differ by"):
        export_onnx(_Fickle(), np.ones((1, 2, 4, 4), np.float32), "x", "y")


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07" * 40])
def test_what_is_no_onnx_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read model\.onnx: it is no ONNX model"):
        load_onnx(path)


def test_quantized_tensors_tell_their_scale() -> None:
    text = """
        <ir_version: 8, opset_import: ["" : 18]>
        agraph (float[1, 2, 4, 4] x) => (uint8[1, 2, 4, 4] q) <float scale = {0.25}, uint8 zero = {7}>
        { q = QuantizeLinear (x, scale, zero) }
    """
    info = tensor_info(parser.parse_model(text), "q")
    assert (info.dtype, info.scale, info.zero_point, info.shape) == ("uint8", 0.25, 7, (1, 2, 4, 4))


def test_operators_on_constants_do_not_count() -> None:
    text = """
        <ir_version: 8, opset_import: ["" : 18]>
        agraph (float[1, 2] x) => (float[1, 2] y) <float[1, 2] w = {1, 2}>
        { c = Relu (w)
          y = Add (x, c) }
    """
    assert operator_counts(parser.parse_model(text)) == {"Add": 1}
