"""Vendor operators: onnxruntime's FusedConv becomes Conv and an activation again, all others are refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import onnx
from onnx import helper

from npuface_runtime.errors import UserError

_STANDARD = ("", "ai.onnx")
_ACTIVATIONS: dict[str, Callable[[Sequence[float]], tuple[str, dict[str, float]]]] = {
    "Relu": lambda p: ("Relu", {}),
    "Sigmoid": lambda p: ("Sigmoid", {}),
    "Tanh": lambda p: ("Tanh", {}),
    "LeakyRelu": lambda p: ("LeakyRelu", {"alpha": p[0]}),
    "HardSigmoid": lambda p: ("HardSigmoid", {"alpha": p[0], "beta": p[1]}),
}
"""By the name of a FusedConv's activation: the operator and its attributes, from activation_params."""


def without_vendor_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model in standard ONNX.

    onnxruntime writes FusedConv when it saves a model that it has optimised: a Conv with `activation` and
    `activation_params`, and from its later versions on a fourth input that is added before the activation.

    Raises:
        UserError: it has another operator that is not in the ONNX standard, or an unknown activation.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.domain in _STANDARD:
            nodes.append(node)
        elif (node.domain, node.op_type) == ("com.microsoft", "FusedConv"):
            nodes += _unfused(node, result.graph, taken)
        else:
            raise _refused(node, "it is not in the ONNX standard", "save the model without vendor operators")
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    standard = [entry for entry in model.opset_import if entry.domain in _STANDARD]
    del result.opset_import[:]
    result.opset_import.extend(standard)
    return result


def _unfused(node: onnx.NodeProto, graph: onnx.GraphProto, taken: set[str]) -> list[onnx.NodeProto]:
    """Conv, where there is a fourth input Add, and the activation."""
    own = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    activation = own.pop("activation", b"").decode()
    params = list(own.pop("activation_params", ()))
    name = node.name or node.output[0]
    last, steps = node.output[0], []
    names = (new for new in _fresh(f"{name}/unfused", taken))
    has_sum = len(node.input) > 3 and node.input[3]
    convolved = next(names) if activation or has_sum else last
    steps.append(helper.make_node("Conv", node.input[:3], [convolved], name=name, **own))
    if has_sum:
        added = next(names) if activation else last
        steps.append(helper.make_node("Add", [convolved, node.input[3]], [added], name=f"{name}/sum"))
        convolved = added
    if activation == "Clip":
        steps.append(_clip(convolved, last, params, graph, name))
    elif activation:
        if activation not in _ACTIVATIONS:
            raise _refused(node, f"its activation {activation!r} is unknown", "save the model unoptimised")
        operator, attributes = _ACTIVATIONS[activation](params)
        steps.append(helper.make_node(operator, [convolved], [last], name=f"{name}/{operator}", **attributes))
    return steps


def _clip(entering: str, leaving: str, params: Sequence[float], graph: onnx.GraphProto, name: str) -> onnx.NodeProto:
    """Clip in the form of operator set 11 and later, as FusedConv is younger than that."""
    bounds = []
    for kind, value in zip(("min", "max"), params, strict=True):
        bounds.append(f"{name}/{kind}")
        graph.initializer.append(helper.make_tensor(bounds[-1], onnx.TensorProto.FLOAT, (), [value]))
    return helper.make_node("Clip", [entering, *bounds], [leaving], name=f"{name}/Clip")


def _fresh(stem: str, taken: set[str]) -> Iterable[str]:
    number = 0
    while True:
        number += 1
        if f"{stem}{number}" not in taken:
            yield f"{stem}{number}"


def _refused(node: onnx.NodeProto, why: str, fix: str) -> UserError:
    return UserError(
        f"cannot take the operator {node.domain}.{node.op_type} of the node {node.name or node.output[0]!r}", why, fix
    )
