"""Small QDQ ONNX models, one operator at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Attributes = dict[str, int | float | str | list[int]]
SHAPE = (1, 4, 8, 8)
OPERATORS: dict[str, Attributes] = {
    "ArgMax": {"axis": 1},
    "ArgMin": {"axis": 1},
    "AveragePool": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "Conv": {"pads": [1, 1, 1, 1]},
    "Concat": {"axis": 1},
    "DepthToSpace": {"blocksize": 2},
    "Flatten": {"axis": 1},
    "MaxPool": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "ReduceMax": {"keepdims": 1},
    "ReduceMean": {"keepdims": 1},
    "ReduceMin": {"keepdims": 1},
    "ReduceSum": {"keepdims": 1},
    "Resize": {"mode": "nearest"},
    "Softmax": {"axis": -1},
    "SpaceToDepth": {"blocksize": 2},
    "Split": {"axis": 1, "num_outputs": 2},
    "Transpose": {"perm": [0, 2, 3, 1]},
}
"""Attributes of the operators that have some."""
_TWO = ("Add", "Concat", "Div", "Max", "Min", "Mul", "Pow", "Sub")
_PLAIN = {
    "Clip": [np.float32(0), np.float32(1)],
    "Pad": [np.array([0, 0, 1, 1, 0, 0, 1, 1])],
    "ReduceMax": [np.array([1])],
    "ReduceMean": [np.array([1])],
    "ReduceMin": [np.array([1])],
    "ReduceSum": [np.array([1])],
    "Reshape": [np.array([1, 4, 64, 1])],
    "Resize": [np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)],
    "Slice": [np.array([0]), np.array([2]), np.array([1])],
    "Squeeze": [np.array([0])],
    "Unsqueeze": [np.array([0])],
}
"""Inputs that are not quantized, behind the quantized ones."""
_WEIGHTS: dict[str, tuple[int, ...]] = {
    "Conv": (4, 4, 3, 3),
    "ConvTranspose": (4, 4, 2, 2),
    "MatMul": (8, 8),
}


class Graph:
    """A QDQ model under construction: one input `pictures`, every operator reads it in a branch of its own."""

    def __init__(self, dtype: type[np.integer], depthwise: int | None) -> None:
        self.dtype, self.depthwise = dtype, depthwise
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[np.generic]] = {
            "scale": np.asarray(0.01 if dtype in (np.uint8, np.int8) else 4e-5, np.float32),
            "zero": np.asarray(0, dtype),
            "weight_scale": np.asarray(0.01, np.float32),
            "weight_zero": np.asarray(0, np.int8),
        }
        self.outputs: list[onnx.ValueInfoProto] = []
        self._node("DequantizeLinear", ["pictures", "scale", "zero"], ["real"], "entrance")

    def branch(self, operator: str) -> None:
        """Add an operator that reads the picture, and whose result is an output."""
        inputs = ["real", *(["real"] if operator in _TWO else [])]
        if operator == "PRelu":
            slopes = self._constant("PRelu/stored", np.arange(4, dtype=self.dtype).reshape(4, 1, 1))
            self._node("DequantizeLinear", [slopes, "scale", "zero"], ["PRelu/slopes"], "PRelu/slopes")
            inputs.append("PRelu/slopes")
        attributes = OPERATORS.get(operator, {})
        if operator == "Conv" and self.depthwise is not None:
            size = [self.depthwise, self.depthwise]
            attributes = {"group": 4, "strides": size}
            inputs.append(self._weights(operator, (4, 1, *size)))
        elif operator in _WEIGHTS:
            inputs.append(self._weights(operator))
        if operator == "Gemm":
            self._node("Reshape", ["real", self._constant("Gemm/shape", np.array([4, 64]))], ["Gemm/flat"], "Gemm/flat")
            self._round_trip("Gemm/flat")
            inputs = ["Gemm/flat/again", self._weights("Gemm", (64, 8))]
        inputs += [self._constant(f"{operator}/{i}", value) for i, value in enumerate(_PLAIN.get(operator, []))]
        results = [f"{operator}/out", *(["Split/rest"] if operator == "Split" else [])]
        self._node(operator, inputs, results, operator, **attributes)
        if operator in ("ArgMax", "ArgMin"):
            self.outputs.append(helper.make_tensor_value_info(results[0], TensorProto.INT64, None))
            return
        for result in results:
            self._node("QuantizeLinear", [result, "scale", "zero"], [f"{result}/stored"], f"{result}/exit")
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
            self.outputs.append(helper.make_tensor_value_info(f"{result}/stored", kind, None))

    def model(self) -> onnx.ModelProto:
        """The finished model, checked."""
        entrance = helper.make_tensor_value_info(
            "pictures", helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype)), SHAPE
        )
        constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "operators", [entrance], self.outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _node(self, kind: str, inputs: list[str], outputs: list[str], name: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(kind, inputs, outputs, name, **attributes))

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        self.constants[name] = np.asarray(value)
        return name

    def _weights(self, operator: str, shape: tuple[int, ...] = ()) -> str:
        values = np.random.default_rng(0).integers(-50, 50, shape or _WEIGHTS[operator])
        stored = self._constant(f"{operator}/stored", values.astype(np.int8))
        self._node(
            "DequantizeLinear", [stored, "weight_scale", "weight_zero"], [f"{operator}/weights"], f"{operator}/w"
        )
        return f"{operator}/weights"

    def _round_trip(self, tensor: str) -> None:
        self._node("QuantizeLinear", [tensor, "scale", "zero"], [f"{tensor}/q"], f"{tensor}/q")
        self._node("DequantizeLinear", [f"{tensor}/q", "scale", "zero"], [f"{tensor}/again"], f"{tensor}/dq")


def operators_model(
    operators: Sequence[str], dtype: type[np.integer] = np.uint8, depthwise: int | None = None
) -> onnx.ModelProto:
    """A model of the given operators, each in a branch of its own named as the operator.

    Args:
        operators: by ONNX names.
        dtype: of all activations.
        depthwise: makes convolutions depthwise, with this kernel size and stride.
    """
    graph = Graph(dtype, depthwise)
    for operator in operators:
        graph.branch(operator)
    return graph.model()
