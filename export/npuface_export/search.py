"""The cheapest recipe within an accuracy budget: INT8 throughout, then the worst layers wide, as few as will do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuface_export.calibrated import Calibrated
from npuface_export.calibration import CalibrationFaces, Picture
from npuface_export.converters import Recipe
from npuface_export.diagnose import LayerError, layer_errors
from npuface_export.shift import coordinate_shift
from npuface_runtime.errors import UserError

_log = logging.getLogger("npuface.quantize")

Cells = NDArray[np.float32]
"""Landmarks [N, K, 2] in heatmap cells."""


@dataclass(frozen=True)
class Budget:
    """What quantization may cost.

    Attributes:
        name: of the figure, for people.
        limit: the largest figure that is within the budget.
        pictures: cut faces RGB [H, W, 3] to judge on, none of which calibrates.
        figure: landmarks of the float and of the quantized network on them -> what it cost.
        is_shift: whether the figure is the mean shift.
    """

    name: str
    limit: float
    pictures: Sequence[Picture]
    figure: Callable[[Cells, Cells], float]
    is_shift: bool = False


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        recipe: the cheapest within the budget, or the best of those tried if none is.
        figure: what it costs.
        met: whether that is within the budget.
        budget: what was asked for.
        tried: number of wide layers and figure of every recipe that was tried, in order.
        kept: the layers that the recipe keeps wide, with what each cost in INT8.
    """

    recipe: Recipe
    figure: float
    met: bool
    budget: Budget
    tried: tuple[tuple[int, float], ...]
    kept: tuple[LayerError, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """As the manifest records it."""
        return {
            "budget": self.budget.name,
            "limit": self.budget.limit,
            "figure": self.figure,
            "met": self.met,
            "faces": len(self.budget.pictures),
            "tried": [{"wide": count, "figure": figure} for count, figure in self.tried],
            "kept_wide": [error.as_json() for error in self.kept],
        }


def shift_budget(faces: CalibrationFaces, limit: float) -> Budget:
    """A mean shift of at most `limit` heatmap pixels on the calibration folder's faces that do not calibrate.

    Raises:
        UserError: there are so few faces that all of them calibrate.
    """
    if not faces.held_out:
        raise UserError(
            "cannot search for a recipe",
            "there are so few calibration faces that none can be set apart to judge on",
            "give more pictures",
        )

    def figure(exact: Cells, found: Cells) -> float:
        return coordinate_shift(exact, found)["mean_px"]

    return Budget("mean shift, heatmap px", limit, faces.plain, figure, is_shift=True)


def search_recipe(calibrated: Calibrated, start: Recipe, budget: Budget, folder: Path) -> Found:
    """Widen the layers that a diagnosis ranks worst until the budget is met: 1, 2, 4, ..., then halve the gap.

    Args:
        calibrated: the model.
        start: where to start from; its own wide layers are not kept.
        budget: what to meet.
        folder: for the models that are tried.
    """
    exact = calibrated.float_cells(budget.pictures)
    tried: dict[int, float] = {}

    def meets(count: int) -> bool:
        recipe = replace(start, wide=tuple(error.layer for error in errors[:count]))
        tried[count] = budget.figure(exact, calibrated.write(recipe, folder).cells(budget.pictures))
        _log.info("%d layers wide: %s %.4f, the limit is %.4f", count, budget.name, tried[count], budget.limit)
        return tried[count] <= budget.limit

    errors: list[LayerError] = []
    if not meets(0):
        errors = layer_errors(calibrated, calibrated.faces.varied)
        _fewest(len(errors), meets)
    within = [count for count, figure in tried.items() if figure <= budget.limit]
    chosen = min(within) if within else min(tried, key=lambda count: tried[count])
    kept = tuple(errors[:chosen])
    for error in kept:
        _log.info("kept wide: %s, which alone moves the landmarks by %.4f px in INT8", error.layer, error.mean_px)
    recipe = replace(start, wide=tuple(error.layer for error in kept))
    return Found(recipe, tried[chosen], bool(within), budget, tuple(tried.items()), kept)


def _fewest(most: int, meets: Callable[[int], bool]) -> None:
    """Ask `meets` for 1, 2, 4, ... up to `most`, and when one is met, between that and the one before."""
    missed, count = 0, 1
    while not meets(count):
        if count == most:
            return
        missed, count = count, min(2 * count, most)
    while count - missed > 1:
        middle = (missed + count) // 2
        if meets(middle):
            count = middle
        else:
            missed = middle
