"""Finding the maps in front of a flattening operator such as Softmax or ArgMax, and what lies on the way."""

from __future__ import annotations

from dataclasses import dataclass

from npuface_export.foreign.graph import Graph, Node

_PASSED = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose", "Dropout")


@dataclass(frozen=True)
class Path:
    """The way from the maps to an operator that takes them flat.

    Attributes:
        maps: the tensor's name.
        is_nchw: its layout.
        factor: by which it is multiplied on the way.
    """

    maps: str
    is_nchw: bool
    factor: float


def path_to(graph: Graph, node: Node, cells: int, named: str | None) -> Path | str:
    """From the maps (the `named` tensor, or the first that is [1, K, H, W] with H W = cells) to a node.

    Returns:
        The way, or why there is none.
    """
    tensor, factor = node.inputs[0], 1.0
    found: Path | None = None
    while True:
        layout = _layout(graph.shape(tensor), cells)
        if layout is not None and named in (None, tensor):
            found = Path(tensor, layout, factor)
        maker = graph.producers.get(tensor)
        if maker is None or tensor == named:
            break
        step = _factor(graph, maker)
        if step is None:
            break
        tensor, factor = step[0], factor * step[1]
    if found is None:
        wanted = repr(named) if named else "a tensor [1, K, H, W]"
        return f"{node.operator} {node.name!r} does not work on {wanted}, reshaped and scaled by a number at most"
    return found


def _layout(shape: tuple[int, ...], cells: int) -> bool | None:
    """True for [1, K, H, W], False for [1, H, W, K], None for neither."""
    if len(shape) != 4 or shape[0] != 1:
        return None
    if shape[2] > 1 and shape[3] > 1 and shape[2] * shape[3] == cells:
        return True
    return False if shape[1] > 1 and shape[2] > 1 and shape[1] * shape[2] == cells else None


def _factor(graph: Graph, node: Node) -> tuple[str, float] | None:
    """The computed input of a node that keeps or scales it, and the factor; None for any other node."""
    if node.operator in _PASSED:
        return node.inputs[0], 1.0
    if node.operator not in ("Mul", "Div"):
        return None
    places = [i for i in range(2) if graph.constant(node, i) is not None]
    if len(places) != 1 or (node.operator == "Div" and places != [1]):
        return None
    constant = graph.constant(node, places[0])
    if constant is None or constant.size == 0 or not (constant == constant.reshape(-1)[0]).all():
        return None
    value = float(constant.reshape(-1)[0])
    if value <= 0:
        return None
    return node.inputs[1 - places[0]], value if node.operator == "Mul" else 1 / value
