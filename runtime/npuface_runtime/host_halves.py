"""The host half of every decode form: what leaves the network, as real numbers -> cells and confidence, in numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Params = Mapping[str, float]
_GRID = ("offset_x", "offset_y", "step_x", "step_y")
_STEPS = ("step_x", "step_y")


@dataclass(frozen=True)
class Maps:
    """K heatmaps of H x W cells."""

    points: int
    height: int
    width: int

    @property
    def last(self) -> tuple[int, int]:
        """The last cell (x, y)."""
        return self.width - 1, self.height - 1


@dataclass(frozen=True)
class HostHalf:
    """One host half.

    Attributes:
        values: how many numbers leave the network, for given maps and parameters.
        params: the names that it reads from the parameters.
        divisors: those among them that must be positive.
        run: the numbers, in channels-first order -> points [K, 2] in cells and confidence [K] in 0..1 or NaN.
    """

    values: Callable[[Maps, Params], int]
    params: tuple[str, ...]
    divisors: tuple[str, ...]
    run: Callable[[Floats, Maps, Params], tuple[Floats, Floats]]


def _coordinates(output: Floats, maps: Maps, params: Params) -> tuple[Floats, Floats]:
    """[2K] coordinates in cells, all x before all y. The form has no confidence: NaN."""
    points = output.reshape(2, -1).T
    return points, np.full(len(points), np.nan)


def _moments(output: Floats, maps: Maps, params: Params) -> tuple[Floats, Floats]:
    """[4K]: mass and first moment of the x marginal, then of the y marginal; [5K] with the maximum behind them."""
    mass_x, first_x, mass_y, first_y, *maximum = output.reshape(-1, maps.points)
    return _centres(((mass_x, first_x), (mass_y, first_y)), maximum, maps, params)


def _sums(output: Floats, maps: Maps, params: Params) -> tuple[Floats, Floats]:
    """[3K]: mass and the first moments of x and y; [4K] with the maximum behind them."""
    mass, first_x, first_y, *maximum = output.reshape(-1, maps.points)
    return _centres(((mass, first_x), (mass, first_y)), maximum, maps, params)


def _blocks(output: Floats, maps: Maps, params: Params) -> tuple[Floats, Floats]:
    """[6K]: mass, first moments of the block in x and y, sums of the place inside the block, maximum.

    The place inside a block counts from its middle, so a cell is block_size * block + inside + first_centre.
    """
    mass, block_x, block_y, inside_x, inside_y, maximum = output.reshape(6, maps.points)
    seen = mass > 0
    safe = np.where(seen, mass, 1)
    cells = [
        params["block_size"] * _cell(block, safe, axis, params) + inside / safe + params["first_centre_" + axis]
        for axis, block, inside in (("x", block_x, inside_x), ("y", block_y, inside_y))
    ]
    return _where_seen(seen, np.stack(cells, axis=1), maps), _confidence(mass, [maximum], params)


def _offset_moments(output: Floats, maps: Maps, params: Params) -> tuple[Floats, Floats]:
    """[7K]: moments [4K], sums of weight times x-offset and weight times y-offset in cells, maximum."""
    mass_x, first_x, mass_y, first_y, offset_x, offset_y, maximum = output.reshape(7, maps.points)
    cells, confidence = _centres(((mass_x, first_x), (mass_y, first_y)), [maximum], maps, params)
    mass = (mass_x + mass_y) / 2
    seen = (mass_x > 0) & (mass_y > 0)
    offsets = np.stack([offset_x, offset_y], axis=1) / np.where(seen, mass, 1)[:, None]
    return _where_seen(seen, cells + offsets, maps, beyond=1), confidence


def _marginals(output: Floats, maps: Maps, params: Params) -> tuple[Floats, Floats]:
    """[K, W + H]: the sums of the weights over rows, then over columns.

    The mean cell within `window` cells of the highest one, along either axis: a second peak farther away does not
    move the point. It lowers the confidence, which is the mass in the window against that of an ideal peak, times
    its share of all mass.
    """
    both = np.maximum(output.reshape(maps.points, maps.width + maps.height), 0)
    cells, inside, total = [], [], []
    for sums in (both[:, : maps.width], both[:, maps.width :]):
        place = np.arange(sums.shape[1])
        near = np.abs(place - sums.argmax(axis=1)[:, None]) <= params["window"]
        mass = (sums * near).sum(axis=1)
        cells.append((sums * near) @ place / np.where(mass > 0, mass, 1))
        inside.append(mass)
        total.append(sums.sum(axis=1))
    seen = np.minimum(*inside) > 0
    share = np.minimum(*inside) / np.where(seen, np.maximum(*total), 1)
    return _where_seen(seen, np.stack(cells, axis=1), maps), share * _confidence(np.minimum(*inside), [], params)


def _heatmaps(output: Floats, maps: Maps, params: Params) -> tuple[Floats, Floats]:
    """[K, H, W]: the centre of mass of relu(h - t max h); the confidence is the maximum, 0..1.

    A map without a positive cell has no landmark: its point is the middle of the picture.
    """
    heatmaps = output.reshape(maps.points, maps.height, maps.width)
    peak = heatmaps.max(axis=(1, 2))
    weights = np.maximum(heatmaps - params["threshold"] * peak[:, None, None], 0)
    over_rows, over_columns = weights.sum(axis=1), weights.sum(axis=2)
    mass = over_rows.sum(axis=1)
    seen = (peak > 0) & (mass > 0)
    safe = np.where(seen, mass, 1)
    x = over_rows @ np.arange(maps.width, dtype=np.float32) / safe
    y = over_columns @ np.arange(maps.height, dtype=np.float32) / safe
    return _where_seen(seen, np.stack([x, y], axis=1), maps), np.clip(peak, 0, 1)


def _heatmap_offset(output: Floats, maps: Maps, params: Params) -> tuple[Floats, Floats]:
    """[3K, H, W]: the highest cell plus the offsets that stand there; the confidence is the maximum, 0..1."""
    k = maps.points
    planes = output.reshape(3, k, maps.height * maps.width)
    best = planes[0].argmax(axis=1)
    y, x = np.divmod(best, maps.width)
    each = np.arange(k)
    points = np.stack([x + planes[1, each, best], y + planes[2, each, best]], axis=1)
    peak = planes[0, each, best]
    return _where_seen(peak > 0, points, maps, beyond=1), np.clip(peak, 0, 1)


def _classifiers(output: Floats, maps: Maps, params: Params) -> tuple[Floats, Floats]:
    """[K, W + H] logits: the mean column and row under softmax(beta l).

    The confidence is the lower of the two highest probabilities.
    """
    logits = output.reshape(maps.points, maps.width + maps.height)
    cells, surest = [], []
    for part in (logits[:, : maps.width], logits[:, maps.width :]):
        weights = np.exp(params["beta"] * (part - part.max(axis=1, keepdims=True)))
        mass = weights.sum(axis=1)
        cells.append(weights @ np.arange(part.shape[1]) / mass)
        surest.append(1 / mass)
    return np.stack(cells, axis=1), np.minimum(*surest)


def _centres(
    moments: tuple[tuple[Floats, Floats], tuple[Floats, Floats]], maximum: list[Floats], maps: Maps, params: Params
) -> tuple[Floats, Floats]:
    """Mass and first moment of x and of y -> cells and confidence. A map without mass has no landmark."""
    (mass_x, first_x), (mass_y, first_y) = moments
    seen = (mass_x > 0) & (mass_y > 0)
    x = _cell(first_x, np.where(seen, mass_x, 1), "x", params)
    y = _cell(first_y, np.where(seen, mass_y, 1), "y", params)
    confidence = _confidence(np.where(seen, (mass_x + mass_y) / 2, 0), maximum, params)
    return _where_seen(seen, np.stack([x, y], axis=1), maps), confidence


def _cell(first: Floats, mass: Floats, axis: str, params: Params) -> Floats:
    """The mean cell (127 X / S - offset) / step on the exact INT8 grid."""
    cell: Floats = (127 * first / mass - params["offset_" + axis]) / params["step_" + axis]
    return cell


def _confidence(mass: Floats, maximum: list[Floats], params: Params) -> Floats:
    """Confidence [K] in 0..1: how high a map's peak is, and how much its mass is that of one peak of that height.

    With r the mass over the mass of one ideal peak, the second factor is min(r, 1 / r): two peaks have twice the mass,
    noise that fills the map far more, a speck far less. The mass of an ideal peak of height a is ideal_mass * a **
    mass_power. Where no maximum leaves the network, the ideal peak has height 1 and there is no first factor: a low
    peak has too little mass. Without ideal_mass the weights are probabilities, whose sum tells nothing: NaN.
    """
    if "ideal_mass" not in params:
        return np.where(mass > 0, np.nan, 0)
    seen, height = mass > 0, np.ones_like(mass)
    if maximum:
        seen, height = seen & (maximum[0] > 0), maximum[0]
    ratio = np.where(seen, mass, 1) / (params["ideal_mass"] * np.where(seen, height, 1) ** params.get("mass_power", 1))
    return np.where(seen, np.clip(height, 0, 1) * np.minimum(ratio, 1 / ratio), 0)


def _where_seen(seen: NDArray[np.bool_], points: Floats, maps: Maps, beyond: int = 0) -> Floats:
    """The points kept on the map, as rounding can carry a small mass off it; its middle where nothing was seen.

    `beyond` is how many cells outside they may stand: an offset can point off the map.
    """
    last = np.array(maps.last)
    return np.where(seen[:, None], np.clip(points, -beyond, last + beyond), last / 2)


def _channels(count: int) -> Callable[[Maps, Params], int]:
    return lambda maps, params: count * maps.points


def _with_maximum(count: int) -> Callable[[Maps, Params], int]:
    """The maximum leaves where the parameters say how the mass goes with it."""
    return lambda maps, params: (count + ("mass_power" in params)) * maps.points


def _cells(planes: int) -> Callable[[Maps, Params], int]:
    return lambda maps, params: planes * maps.points * maps.height * maps.width


def _axes(maps: Maps, params: Params) -> int:
    return maps.points * (maps.height + maps.width)


_BLOCK_PARAMS = (*_GRID, "block_size", "first_centre_x", "first_centre_y", "ideal_mass", "mass_power")
HOST_HALVES: Mapping[str, HostHalf] = {
    "coordinates": HostHalf(_channels(2), (), (), _coordinates),
    "moments": HostHalf(_with_maximum(4), _GRID, _STEPS, _moments),
    "sums": HostHalf(_with_maximum(3), _GRID, _STEPS, _sums),
    "blocks": HostHalf(_channels(6), _BLOCK_PARAMS, (*_STEPS, "block_size", "ideal_mass"), _blocks),
    "offset-moments": HostHalf(
        _channels(7), (*_GRID, "ideal_mass", "mass_power"), (*_STEPS, "ideal_mass"), _offset_moments
    ),
    "marginals": HostHalf(_axes, ("window", "ideal_mass"), ("ideal_mass",), _marginals),
    "heatmaps": HostHalf(_cells(1), ("threshold",), (), _heatmaps),
    "heatmap-offset": HostHalf(_cells(3), (), (), _heatmap_offset),
    "classifiers": HostHalf(_axes, ("beta",), (), _classifiers),
}
