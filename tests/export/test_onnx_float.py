"""What a QDQ model leaves in float: nothing where every operator is known; each pair that exchanges floats is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from npuface_export.converters.onnx_float import left_in_float
from npuface_export.converters.onnx_graph import HEATMAPS, PICTURES
from npuface_export.converters.onnx_quantize import OnnxQuantizer, QdqStyle
from npuface_export.converters.onnxruntime import written_onnx
from npuface_export.converters.recipe import Recipe

SHAPE = [1, 4, 8, 8]
MISH = [("Softplus", ["first"], "soft"), ("Tanh", ["soft"], "tanh"), ("Mul", ["first", "tanh"], "mish")]
RELU = [("Relu", ["first"], "mish")]


def network(activation: list[tuple[str, list[str], str]]) -> onnx.ModelProto:
    """A convolution, an activation, and a convolution that gives heatmaps."""
    weights = np.random.default_rng(0).normal(0, 0.3, (4, 4, 3, 3)).astype(np.float32)
    convolution = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes = [helper.make_node("Conv", [PICTURES, "w0.weight"], ["first"], "conv0", **convolution)]
    nodes += [helper.make_node(kind, inputs, [output], output) for kind, inputs, output in activation]
    nodes.append(helper.make_node("Conv", ["mish", "w1.weight"], [HEATMAPS], "conv1", **convolution))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(PICTURES, TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(HEATMAPS, TensorProto.FLOAT, SHAPE)],
        [numpy_helper.from_array(weights, name) for name in ("w0.weight", "w1.weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize(
    ("activation", "wide", "left"),
    [(MISH, (), ("Softplus -> Tanh",)), (MISH, ("soft", "tanh"), ()), (RELU, (), ())],
)
def test_what_two_operators_exchange_in_float_is_said(
    tmp_path: Path, activation: list[tuple[str, list[str], str]], wide: tuple[str, ...], left: tuple[str, ...]
) -> None:
    pictures = [np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)]
    style = QdqStyle(("int8", "float32"), "small")
    quantizer = OnnxQuantizer(network(activation), pictures, written_onnx, style)
    made = quantizer.write(Recipe(decode="int8", wide=wide), tmp_path)
    assert made.left_in_float == left


def test_a_model_in_float_is_all_in_float() -> None:
    assert left_in_float(network(MISH), ()) == (
        "Conv -> Softplus",
        "Softplus -> Tanh",
        "Conv -> Mul",
        "Tanh -> Mul",
        "Mul -> Conv",
    )
    assert left_in_float(network(MISH), {"conv0", "soft", "tanh", "mish", "conv1"}) == ()
