"""What a head's numbers mean: it is shown single peaks, and its answers tell which number is x, and in which units.

A head may sum with a grid, multiply by a matrix, convolve, divide an index, shift and scale afterwards: exporters
write all of these. What it answers to a peak in a known cell says the same of every one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PROBES = 4
_FIT = 0.01
"""Cells by which an answer may miss the line that is drawn through all of them."""
_ORDERS = ("x y of each landmark", "y x of each landmark", "all x, all y", "all y, all x")

Head = Callable[[Tensor], Tensor]
"""Maps [1, K, H, W] -> all numbers that the head gives, in one row."""


@dataclass(frozen=True)
class Coordinates:
    """How to read a head's numbers.

    Attributes:
        order: which number is which: one of _ORDERS, or "index" for row * W + column.
        scale, offset: x and y; a number is cell * scale + offset.
        width: cells of a row.
    """

    order: str
    scale: tuple[float, float]
    offset: tuple[float, float]
    width: int

    def cells(self, numbers: Tensor) -> Tensor:
        """The head's numbers [2K] (or [K] indices) -> points [K, 2] in cells."""
        if self.order == "index":
            index = numbers.to(torch.float64)
            rows = torch.floor(index / self.width)
            return torch.stack([index - rows * self.width, rows], dim=-1).float()
        points = _ordered(numbers, self.order)
        return (points - torch.tensor(self.offset)) / torch.tensor(self.scale)


def read_coordinates(head: Head, points: int, height: int, width: int, peak: float) -> Coordinates | str:
    """Show a head single peaks of a height; what its numbers are, or why they are no coordinates of those peaks."""
    rng = np.random.default_rng(0)
    cells = np.stack([rng.integers(0, (width, height), (points, 2)) for _ in range(_PROBES)])
    cells[0], cells[1] = (0, 0), (width - 1, height - 1)
    answers = []
    for places in cells:
        maps = torch.zeros(1, points, height, width)
        maps[0, torch.arange(points), torch.from_numpy(places[:, 1]), torch.from_numpy(places[:, 0])] = peak
        with torch.no_grad():
            answers.append(head(maps).reshape(-1).float())
    numbers = torch.stack(answers)
    if numbers.shape[1] == points:
        return _index(numbers, cells, width)
    if numbers.shape[1] != 2 * points:
        return f"it gives {numbers.shape[1]} numbers for {points} maps"
    for order in _ORDERS:
        found = np.stack([_ordered(row, order).numpy() for row in numbers]).astype(np.float64)
        lines = [_line(cells[..., axis], found[..., axis]) for axis in (0, 1)]
        if all(line is not None for line in lines):
            (scale_x, offset_x), (scale_y, offset_y) = (line for line in lines if line is not None)
            return Coordinates(order, (scale_x, scale_y), (offset_x, offset_y), width)
    return "its numbers do not follow the cell of a peak"


def _ordered(numbers: Tensor, order: str) -> Tensor:
    """[2K] -> [K, 2] with x first."""
    points = numbers.reshape(2, -1).T if order.startswith("all") else numbers.reshape(-1, 2)
    return points if order.startswith(("x", "all x")) else points.flip(-1)


def _line(cells: NDArray[np.integer], numbers: NDArray[np.float64]) -> tuple[float, float] | None:
    """Scale and offset of the line through all answers; None where one is off it."""
    scale, offset = (float(v) for v in np.polyfit(cells.ravel(), numbers.ravel(), 1))
    missed = np.abs(cells * scale + offset - numbers).max()
    return (scale, offset) if scale > 0 and missed <= _FIT * scale else None


def _index(numbers: Tensor, cells: NDArray[np.integer], width: int) -> Coordinates | str:
    expected = cells[..., 1] * width + cells[..., 0]
    if np.array_equal(np.rint(numbers.numpy()), expected):
        return Coordinates("index", (1.0, 1.0), (0.0, 0.0), width)
    return "its one number a map is not the place of the peak, row * W + column"
