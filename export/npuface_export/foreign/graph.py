"""An ONNX graph as the passes read it: nodes with plain attributes, constants as arrays, every shape known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from npuface_runtime.errors import UserError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One operator of a graph.

    Attributes:
        operator: its ONNX name.
        name: its own, or its first output's where it has none.
        inputs: tensor names; "" where an optional input is left out.
        outputs: tensor names.
        attributes: as Python values, text as str, tensors as arrays.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def get(self, attribute: str, default: Any) -> Any:
        """An attribute, or what the operator's definition says where it is left out."""
        return self.attributes.get(attribute, default)


@dataclass(frozen=True)
class Graph:
    """A network of fixed shapes.

    Attributes:
        nodes: in an order in which they can be computed.
        constants: arrays by tensor name.
        shapes: of every tensor that is computed, and of the inputs.
        inputs, outputs: names of what enters and leaves.
        opset: version of the ONNX operator set that gives the nodes their meaning.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, Shape]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that makes each tensor."""
        return {name: node for node in self.nodes for name in node.outputs}

    @property
    def operators(self) -> list[str]:
        """Names of the operators, in order."""
        return [node.operator for node in self.nodes]

    def constant(self, node: Node, index: int) -> NDArray[Any] | None:
        """The constant that enters a node at a place; None where nothing or a computed tensor does."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        return self.constants.get(name)

    def setting(self, node: Node, attribute: str, index: int) -> list[Any] | None:
        """Numbers that older operator sets keep in an attribute and newer ones in an input; None where left out.

        Raises:
            UserError: they are computed from the picture.
        """
        if attribute in node.attributes:
            value = node.attributes[attribute]
            return list(value) if isinstance(value, Sequence) else [value]
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        array = self.constant(node, index)
        if array is None:
            raise UserError(
                f"cannot take the operator {node.operator} of the node {node.name!r}",
                f"its {attribute} depends on the picture",
                "export the model with fixed shapes",
            )
        return list(array.reshape(-1).tolist())

    def shape(self, tensor: str) -> Shape:
        """The shape of a tensor, constants included."""
        return tuple(self.constants[tensor].shape) if tensor in self.constants else self.shapes[tensor]

    def between(self, starts: Iterable[str], ends: Sequence[str]) -> Graph:
        """The part that computes `ends` from `starts`, which become its inputs; the rest is dropped.

        Raises:
            ValueError: the ends need an input of the whole graph that is not among the starts.
        """
        first = tuple(starts)
        wanted, nodes = set(ends), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs) and not set(node.outputs) <= set(first):
                nodes.append(node)
                wanted.update(name for name in node.inputs if name and name not in first)
        made = {name for node in nodes for name in node.outputs}
        missing = wanted - made - set(self.constants) - set(first)
        if missing:
            raise ValueError(f"it needs {', '.join(sorted(missing))} too")
        used = {name for node in nodes for name in node.inputs}
        constants = {name: array for name, array in self.constants.items() if name in used}
        return replace(self, nodes=tuple(reversed(nodes)), constants=constants, inputs=first, outputs=tuple(ends))

    def downstream(self, tensor: str) -> set[str]:
        """The tensors that depend on a tensor, itself included."""
        live = {tensor}
        for node in self.nodes:
            if live.intersection(node.inputs):
                live.update(node.outputs)
        return live


def graph_of(model: onnx.ModelProto) -> Graph:
    """A checked model with all shapes inferred and fixed -> Graph; nodes that only hold a constant become one."""
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for raw in graph.node:
        attributes = {attribute.name: _plain(helper.get_attribute_value(attribute)) for attribute in raw.attribute}
        if raw.op_type == "Constant" and len(attributes) == 1:
            constants[raw.output[0]] = np.asarray(next(iter(attributes.values())))
            continue
        outputs = tuple(name for name in raw.output if name)
        nodes.append(Node(raw.op_type, raw.name or outputs[0], tuple(raw.input), outputs, attributes))
    shapes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    inputs = tuple(value.name for value in graph.input if value.name not in constants)
    outputs = tuple(value.name for value in graph.output)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return Graph(tuple(nodes), constants, shapes, inputs, outputs, opset)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
