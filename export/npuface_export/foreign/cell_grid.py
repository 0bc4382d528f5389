"""Where a heatmap cell stands in the network input, by the units that a head counts in."""

from __future__ import annotations

from collections.abc import Mapping

from npuface_export.foreign.probe import Coordinates
from npuface_runtime.errors import UserError

Pair = tuple[float, float]
_NEAR = 1e-3

GRIDS: Mapping[str, str] = {
    "half-pixel": "a cell covers s pixels and stands in their middle: (c + 0.5) s - 0.5",
    "corner": "a cell stands at the first of its s pixels: c s",
    "align-corners": "the corner cells stand on the corner pixels: c (pixels - 1) / (cells - 1)",
}
"""What --grid takes. s = pixels / cells."""


def grid_by_name(name: str, pixels: tuple[int, int], cells: tuple[int, int]) -> tuple[Pair, Pair]:
    """Scale and offset, x and y each, of a convention; pixels and cells are (height, width).

    Raises:
        UserError: there is no such convention.
    """
    if name not in GRIDS:
        raise UserError(f"unknown grid {name!r}", f"the grids are {', '.join(GRIDS)}", "give one of them")
    lines = [_line(name, p, c) for p, c in zip(pixels[::-1], cells[::-1], strict=True)]
    return (lines[0][0], lines[1][0]), (lines[0][1], lines[1][1])


def grid_of_head(read: Coordinates, pixels: tuple[int, int], cells: tuple[int, int]) -> str | tuple[Pair, Pair] | None:
    """What a head's coordinates say of the grid: (scale, offset) in pixels; None where they are cells, which says
    nothing; or why they are in no units that are known.
    """
    lines = []
    for pixel, cell, scale, offset in zip(pixels[::-1], cells[::-1], read.scale, read.offset, strict=True):
        line = _in_pixels(scale, offset, pixel, cell)
        if line is None:
            if abs(scale - 1) < _NEAR and abs(offset) < _NEAR:
                return None
            last = offset + scale * (cell - 1)
            return (
                f"its coordinates go from {offset:.4g} to {last:.4g} over {cell} cells: no cells, pixels, 0..1 or -1..1"
            )
        lines.append(line)
    return (lines[0][0], lines[1][0]), (lines[0][1], lines[1][1])


def _in_pixels(scale: float, offset: float, pixels: int, cells: int) -> Pair | None:
    """Of one axis: the line from cells to pixels, by the units that fit; None where none does."""
    for unit, shift in ((1.0, 0.0), (2.0, -1.0)):  # 0..1 and -1..1
        a, b = scale / unit, (offset - shift) / unit
        for name, step, start in (
            ("align-corners", 1 / (cells - 1), 0.0),
            ("half-pixel", 1 / cells, 0.5 / cells),
            ("corner", 1 / cells, 0.0),
        ):
            if abs(a / step - 1) < _NEAR and abs(b - start) < _NEAR / cells:
                return _line(name, pixels, cells)
    is_pixels = pixels > cells and any(abs(scale / step - 1) < _NEAR for step in _steps(pixels, cells))
    return (scale, offset) if is_pixels and abs(offset) <= scale else None


def _steps(pixels: int, cells: int) -> Pair:
    return pixels / cells, (pixels - 1) / (cells - 1)


def _line(name: str, pixels: int, cells: int) -> Pair:
    stride, between = _steps(pixels, cells)
    return {"half-pixel": (stride, (stride - 1) / 2), "corner": (stride, 0.0), "align-corners": (between, 0.0)}[name]
