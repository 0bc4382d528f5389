"""An ONNX graph as a torch module, so that it takes the road of every network that was made in torch."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from npuface_export.foreign.graph import Graph, Node
from npuface_export.foreign.operators import TABLE
from npuface_runtime.errors import UserError


class OnnxModule(nn.Module):
    """Runs the nodes of a graph in order. Constants are buffers named after themselves, so that a
    layer can be told by its weights; shapes and settings were worked out beforehand.
    """

    def __init__(self, graph: Graph) -> None:
        """Look every operator up.

        Raises:
            UserError: the table has no such operator, or not in this setting.
        """
        super().__init__()
        self.entering, self.leaving = graph.inputs, graph.outputs
        self._buffer_names: dict[str, str] = {}
        for name, array in graph.constants.items():
            self._buffer_names[name] = f"c{len(self._buffer_names)}_{re.sub(r'[^A-Za-z0-9]+', '_', name)}"
            self.register_buffer(self._buffer_names[name], torch.tensor(array))
        self._steps = [(node, _function(node, graph)) for node in graph.nodes]

    def forward(self, *entering: Tensor) -> Any:
        """The graph's inputs -> its output, or a tuple of them."""
        values: dict[str, Tensor | None] = {"": None}
        values |= {name: getattr(self, buffer) for name, buffer in self._buffer_names.items()}
        values |= dict(zip(self.entering, entering, strict=True))
        for node, function in self._steps:
            made = function(*(values[name] for name in node.inputs))
            values |= dict(zip(node.outputs, made if isinstance(made, tuple | list) else (made,), strict=False))
        leaving = tuple(values[name] for name in self.leaving)
        return leaving[0] if len(leaving) == 1 else leaving


def _function(node: Node, graph: Graph) -> Any:
    if node.operator not in TABLE:
        near = get_close_matches(node.operator, TABLE, n=1)
        fix = f"build the network with others{f', such as {near[0]}' if near else ''}"
        what = f"cannot take the operator {node.operator} of the node {node.name!r}"
        raise UserError(what, f"it is not among the {len(TABLE)} that are read", fix)
    return TABLE[node.operator](node, graph)
