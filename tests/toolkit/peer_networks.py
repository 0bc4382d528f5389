"""A network that says the same whatever it sees, as a stand-in for other people's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def constant_network(file: Path, output: NDArray[np.float32], size: tuple[int, int] = (32, 48)) -> None:
    """It gives `output` plus 0 times the sum of its input, so that a picture that is not finite shows."""
    nodes = [
        helper.make_node("ReduceSum", ["picture"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["constant", "nothing"], ["out"]),
    ]
    weights = [numpy_helper.from_array(output[None], "constant"), numpy_helper.from_array(np.float32(0), "zero")]
    entering = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, *size])
    leaving = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, *output.shape])
    graph = helper.make_graph(nodes, "constant", [entering], [leaving], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
