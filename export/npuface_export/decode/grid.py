"""Coordinate weights that INT8 represents exactly."""

from __future__ import annotations

from dataclasses import dataclass

_FEWEST, _MOST = 2, 255
"""Cells that weights of 8 bits tell apart: one has no step, and more than 255 weights have equals."""


@dataclass(frozen=True)
class Grid:
    """Integer weights w_i = step * i + offset over n cells, the largest exactly 127.

    A per-tensor INT8 quantizer gives w / 127 the scale 1 / 127, so every weight is exact. The centred
    grid ((i - 31.5) / 31.5 for 64 cells) is not. Decoding: i = (w - offset) / step.
    """

    cells: int
    step: int
    offset: int

    @property
    def weights(self) -> list[float]:
        """w_i / 127 for every cell."""
        return [(self.step * i + self.offset) / 127 for i in range(self.cells)]


def refuses_grid(cells: int) -> str | None:
    """Why there is no exact INT8 grid over that many cells; None if there is one."""
    return None if _FEWEST <= cells <= _MOST else f"an exact INT8 grid has {_FEWEST} to {_MOST} cells, not {cells}"


def exact_grid(cells: int) -> Grid:
    """The finest exact INT8 grid over `cells` cells. Raises ValueError where there is none (see refuses_grid)."""
    if reason := refuses_grid(cells):
        raise ValueError(reason)
    step = 254 // (cells - 1)
    return Grid(cells, step, 127 - step * (cells - 1))
