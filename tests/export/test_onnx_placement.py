"""Placement of ONNX operators: nodes without names of their own stay apart, and are refused where names must tell."""

from __future__ import annotations

import pytest
from onnx import ModelProto, TensorProto, helper

from npuface_export.compilers.onnx_placement import onnx_placement, operator_names
from npuface_export.compilers.placement import BODY, CPU, DECODE, NPU
from npuface_runtime.errors import UserError


def model_named(*names: str) -> ModelProto:
    """Relu -> heatmaps -> Neg -> Abs, and a Sqrt of a constant, which is folded."""
    nodes = [
        helper.make_node("Sqrt", ["four"], ["two"], "folded"),
        helper.make_node("Relu", ["picture"], ["heatmaps"], names[0]),
        helper.make_node("Neg", ["heatmaps"], ["negative"], names[1]),
        helper.make_node("Mul", ["negative", "two"], ["result"], names[2]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in ("picture", "result")]
    four = helper.make_tensor("four", TensorProto.FLOAT, (1,), [4.0])
    return helper.make_model(helper.make_graph(nodes, "small", ends[:1], ends[1:], [four]))


@pytest.mark.parametrize("names", [("a", "b", "c"), ("", "", ""), ("same", "same", "same"), ("folded", "b", "b")])
def test_every_operator_stands_for_itself_whatever_it_is_called(names: tuple[str, str, str]) -> None:
    placed = onnx_placement(model_named(*names), {}).operators
    assert [(one.name, one.operator) for one in placed] == list(zip(names, ("Relu", "Neg", "Mul"), strict=True))
    assert [one.part for one in placed] == [BODY, DECODE, DECODE]
    assert [one.reads for one in placed] == [(), (0,), (1,)]
    assert {one.device for one in placed} == {NPU}


def test_what_is_named_is_on_the_cpu() -> None:
    model = model_named("a", "b", "c")
    assert operator_names(model) == {"a", "b", "c"}
    placed = onnx_placement(model, {"b": "no Neg"}).operators
    assert [(one.device, one.reason) for one in placed] == [(NPU, None), (CPU, "no Neg"), (NPU, None)]


@pytest.mark.parametrize(
    ("names", "why"), [(("a", "b", "b"), "2 operators of the model are called 'b'"), (("", "b", "c"), "called ''")]
)
def test_names_that_cannot_tell_operators_apart_are_refused(names: tuple[str, str, str], why: str) -> None:
    with pytest.raises(UserError) as refusal:
        operator_names(model_named(*names))
    assert why in refusal.value.why
    assert "give each a name of its own" in refusal.value.fix
