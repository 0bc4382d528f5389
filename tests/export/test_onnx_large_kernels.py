"""Large kernels: split into a sum of parts that is the same sum, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from npuface_export.converters.onnx_graph import operator_counts
from npuface_export.converters.onnx_large_kernels import split_large_kernels

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.random((1, 4, 40, 40), np.float32)


def depthwise(height: int, width: int, bias: bool = True, padding: int = 0) -> onnx.ModelProto:
    """A model of one convolution, with its padding on the left and the right."""
    constants = {"weight": RANDOM.random((4, 1, height, width), np.float32)}
    constants |= {"bias": RANDOM.random(4, np.float32)} if bias else {}
    pads = [0, padding, 0, padding]
    node = helper.make_node(
        "Conv", ["pictures", *constants], ["heatmaps"], "conv", group=4, kernel_shape=[height, width], pads=pads
    )
    tensors = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    entered = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, NOISE.shape)
    left = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "network", [entered], [left], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"pictures": NOISE})
    return np.asarray(result)


def kernels(model: onnx.ModelProto) -> list[tuple[int, ...]]:
    return [tuple(a.ints) for node in model.graph.node for a in node.attribute if a.name == "kernel_shape"]


def test_a_kernel_over_both_axes_is_the_sum_of_its_parts() -> None:
    model = depthwise(40, 40)
    split = split_large_kernels(model, 16)
    assert max(max(shape) for shape in kernels(split)) == 16
    assert len(kernels(split)) == 9
    assert split.graph.output[0].name == "heatmaps"
    np.testing.assert_allclose(run(split), run(model), rtol=1e-5)


def test_a_kernel_along_one_axis() -> None:
    model = depthwise(1, 40, bias=False)
    split = split_large_kernels(model, 16)
    assert kernels(split) == [(1, 16), (1, 16), (1, 8)]
    assert operator_counts(split) == {"Split": 1, "Conv": 3, "Add": 2}
    np.testing.assert_allclose(run(split), run(model), rtol=1e-5)


def test_other_convolutions_stay_as_they_are() -> None:
    """Kernels within the limit, kernels that slide, and kernels that reach over the edge."""
    for model in (depthwise(16, 16), depthwise(1, 20), depthwise(1, 40, padding=1)):
        assert split_large_kernels(model, 16).SerializeToString() == model.SerializeToString()
