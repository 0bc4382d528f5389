"""The table of operators: ONNX name -> what makes the torch function of a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from npuface_export.foreign.graph import Graph, Node

Function = Callable[..., Any]
"""The node's inputs as tensors, None where one is left out -> its output, or a tuple of them."""
Maker = Callable[[Node, Graph], Function]

TABLE: dict[str, Maker] = {}


def operator(*names: str) -> Callable[[Maker], Maker]:
    """Enter a maker in the table under these names."""

    def enter(maker: Maker) -> Maker:
        TABLE.update(dict.fromkeys(names, maker))
        return maker

    return enter
