"""What Qualcomm's converter does to QDQ models keeps their values: integer ends, and one type for each operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qdq_models import SHAPE, operators_model

from npuface_export.converters.onnx_ends import integer_ends
from npuface_export.converters.onnx_one_type import one_type

Array = NDArray[np.generic]
SCALE, ZERO = 1 / 64, 128
CONSTANTS: Mapping[str, Array] = {
    "scale": np.asarray(SCALE, np.float32),
    "zero": np.asarray(ZERO, np.uint8),
    "wide_scale": np.asarray(SCALE / 257, np.float32),
    "wide_zero": np.asarray(ZERO * 257, np.uint16),
    "addend": np.arange(96, 160, dtype=np.uint8).reshape(1, 1, 8, 8),
}
STORED = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
PICTURE = ((STORED.astype(np.float32) - ZERO) * np.float32(SCALE)).astype(np.float32)
Q, DQ = "QuantizeLinear", "DequantizeLinear"
NARROW, WIDE = ["scale", "zero"], ["wide_scale", "wide_zero"]


def model_of(
    nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], constants: Mapping[str, Array]
) -> onnx.ModelProto:
    """Float pictures in, float results out."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto, picture: Array) -> list[Array]:
    """Computed as it stands: no operator is merged with its neighbours."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results: list[Array] = session.run(None, {model.graph.input[0].name: picture})
    return results


def real(stored: Array) -> Array:
    return (stored.astype(np.float32) - np.float32(ZERO)) * np.float32(SCALE)


def chain(*extra: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Q, DQ, an operator, Q, DQ: what a quantizer makes of one operator."""
    return [
        helper.make_node(Q, ["picture", *NARROW], ["entered"], "enter"),
        helper.make_node(DQ, ["entered", *NARROW], ["real"], "load"),
        helper.make_node("Neg", ["real"], ["negative"], "negate"),
        helper.make_node(Q, ["negative", *NARROW], ["left"], "leave"),
        helper.make_node(DQ, ["left", *NARROW], ["result"], "free"),
        *extra,
    ]


def types_of(model: onnx.ModelProto) -> list[int]:
    return [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)]


def test_integer_ends_keep_the_values() -> None:
    model = model_of(chain(), ["result"], CONSTANTS)
    cut = integer_ends(model)
    assert types_of(cut) == [TensorProto.UINT8, TensorProto.UINT8]
    assert [node.op_type for node in cut.graph.node] == [DQ, "Neg", Q]
    (expected,), (found,) = run(model, PICTURE), run(cut, STORED)
    np.testing.assert_array_equal(real(found), expected)
    assert len(np.unique(found)) > 100


def test_an_input_that_a_float_operator_reads_too_stays_float() -> None:
    more = helper.make_node("Mul", ["picture", "result"], ["product"], "multiply")
    model = model_of(chain(more), ["product"], CONSTANTS)
    cut = integer_ends(model)
    assert types_of(cut) == [TensorProto.FLOAT, TensorProto.FLOAT]
    np.testing.assert_array_equal(run(cut, PICTURE)[0], run(model, PICTURE)[0])


def test_an_output_that_is_read_inside_too_stays_float() -> None:
    more = helper.make_node("Abs", ["result"], ["size"], "measure")
    model = model_of(chain(more), ["result", "size"], CONSTANTS)
    cut = integer_ends(model)
    assert types_of(cut) == [TensorProto.UINT8, TensorProto.FLOAT, TensorProto.FLOAT]
    for found, expected in zip(run(cut, STORED), run(model, PICTURE), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_two_outputs_of_the_same_integers_both_stay() -> None:
    again = helper.make_node(DQ, ["left", *NARROW], ["again"], "free-again")
    model = model_of(chain(again), ["result", "again"], CONSTANTS)
    cut = integer_ends(model)
    first, second = run(cut, STORED)
    np.testing.assert_array_equal(real(first), run(model, PICTURE)[0])
    np.testing.assert_array_equal(second if second.dtype == np.float32 else real(second), run(model, PICTURE)[1])


def mixed(operator: str) -> onnx.ModelProto:
    """An operator that reads uint8, one of them a constant, and writes uint16."""
    return model_of(
        [
            helper.make_node(Q, ["picture", *NARROW], ["entered"], "enter"),
            helper.make_node(DQ, ["entered", *NARROW], ["real"], "load"),
            helper.make_node(DQ, ["addend", *NARROW], ["constant"], "weigh"),
            helper.make_node(operator, ["real", "constant"], ["combined"], "combine"),
            helper.make_node("Relu", ["combined"], ["positive"], "cut"),
            helper.make_node(Q, ["positive", "wide_scale", "lowest"], ["left"], "leave"),
            helper.make_node(DQ, ["left", "wide_scale", "lowest"], ["result"], "free"),
        ],
        ["result"],
        {**CONSTANTS, "lowest": np.asarray(0, np.uint16)},
    )


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
def test_one_type_keeps_the_values(operator: str) -> None:
    """A step of uint8 is 257 of uint16, so nothing is rounded; the float32 arithmetic may differ in its last bit."""
    model = mixed(operator)
    made = one_type(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    assert [node.op_type for node in made.graph.node].count("Relu") == 0
    (combine,) = [node for node in made.graph.node if node.op_type == operator]
    sources = [next(node for node in made.graph.node if name in node.output) for name in combine.input]
    assert [constants[node.input[2]].dtype.name for node in sources] == ["uint16", "uint16"]
    (expected,), (found,) = run(model, PICTURE), run(made, PICTURE)
    step = SCALE / 257
    np.testing.assert_allclose(found, expected, atol=1.01 * step)
    assert np.mean(found == expected) > 0.9
    assert len(np.unique(expected)) > 50


def test_what_is_of_one_type_already_stays_as_it_is() -> None:
    model = operators_model(["Conv", "Mul", "Sub"])
    assert one_type(model).graph == model.graph


def test_a_relu_above_the_smallest_integer_stays() -> None:
    """Negative control: its QuantizeLinear would let negative values through."""
    model = mixed("Sub")
    for node in model.graph.node:
        node.input[:] = ["wide_zero" if name == "lowest" else name for name in node.input]
    made = one_type(model)
    assert [node.op_type for node in made.graph.node].count("Relu") == 1
    np.testing.assert_allclose(run(made, PICTURE)[0], run(model, PICTURE)[0], atol=1.01 * SCALE / 257)
