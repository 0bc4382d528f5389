"""Resize and Upsample."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from npuface_export.foreign.graph import Graph, Node
from npuface_export.foreign.operators.layers import refused
from npuface_export.foreign.operators.table import Function, operator


@operator("Resize", "Upsample")
def _resize(node: Node, graph: Graph) -> Function:
    """Height and width, to nearest or linear, in the conventions that torch has.

    Upsample, and Resize of operator set 10, place output pixel i at i / scale ("asymmetric").
    """
    size, target = graph.shape(node.inputs[0]), graph.shape(node.outputs[0])
    if len(size) != 4 or size[:2] != target[:2]:
        raise refused(node, f"it resizes {list(size)} to {list(target)}, not height and width alone")
    is_old = node.operator == "Upsample" or graph.opset < 11
    place = "asymmetric" if is_old else node.get("coordinate_transformation_mode", "half_pixel")
    mode, shape = node.get("mode", "nearest"), target[2:]
    if mode == "nearest":
        return _nearest(
            node, size[2:], shape, place, "floor" if is_old else node.get("nearest_mode", "round_prefer_floor")
        )
    if mode != "linear":
        raise refused(node, f"its mode is {mode!r}")
    if place in ("half_pixel", "pytorch_half_pixel"):
        return lambda x, *_: functional.interpolate(x, shape, mode="bilinear", align_corners=False)
    if place == "align_corners":
        return lambda x, *_: functional.interpolate(x, shape, mode="bilinear", align_corners=True)
    raise refused(node, f"it is linear with {place!r} coordinates")


def _nearest(node: Node, size: Any, shape: Any, place: str, rounding: str) -> Function:
    """By whole factors every convention repeats pixels, but for the rounding of asymmetric places."""
    factors = (shape[0] / size[0], shape[1] / size[1])
    whole = all(factor == int(factor) and factor >= 1 for factor in factors)
    repeats = (place == "asymmetric" and rounding == "floor") or (place.endswith("half_pixel") and whole)
    if not repeats:
        raise refused(node, f"it takes the nearest pixel with {place!r} coordinates and {rounding!r}")

    def enlarge(x: Tensor, *_: Any) -> Tensor:
        return functional.interpolate(x, tuple(shape), mode="nearest")

    return enlarge
