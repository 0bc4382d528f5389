"""Which layer loses the accuracy: the shift that each layer causes when it alone is quantized."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npuface_export.calibrated import Calibrated
from npuface_export.calibration import Picture
from npuface_export.converters import Recipe
from npuface_export.shift import coordinate_shift

_log = logging.getLogger("npuface.quantize")
_FACES = 12
"""Calibration faces that a diagnosis runs each layer on."""


@dataclass(frozen=True)
class LayerError:
    """What one layer costs.

    Attributes:
        layer: its name, as Recipe.wide takes it.
        mean_px, max_px: how far the landmarks move, in heatmap pixels, when this layer alone is quantized:
            its weights, what it reads, and where the engine rounds behind a layer, what it gives. In LiteRT
            the 8 bits of the picture are part of every layer's figure: they add alike to all.
        share: of the sum of all layers' mean shifts.
    """

    layer: str
    mean_px: float
    max_px: float
    share: float

    def as_json(self) -> dict[str, Any]:
        """As the command prints it."""
        return asdict(self)


def layer_errors(calibrated: Calibrated, pictures: Sequence[Picture]) -> list[LayerError]:
    """The error of every layer of the body, the worst first.

    Args:
        calibrated: the model.
        pictures: to measure on; a few of them, evenly spread, are enough for the order.
    """
    some = pictures[:: max(1, len(pictures) // _FACES)][:_FACES]
    exact = calibrated.float_cells(some)
    layers, shifts = calibrated.quantizer.layers, []
    with tempfile.TemporaryDirectory(prefix="npuface-") as folder:
        for number, layer in enumerate(layers, 1):
            others = tuple(name for name in layers if name != layer)
            recipe = Recipe(decode="float32", wide=others, wide_type="float32")
            shifts.append(coordinate_shift(exact, calibrated.write(recipe, Path(folder)).cells(some)))
            if number % 10 == 0:
                _log.info("%d of %d layers diagnosed", number, len(layers))
    total = max(sum(shift["mean_px"] for shift in shifts), np.finfo(np.float64).tiny)
    errors = [
        LayerError(layer, shift["mean_px"], shift["max_px"], shift["mean_px"] / total)
        for layer, shift in zip(layers, shifts, strict=True)
    ]
    return sorted(errors, key=lambda error: -error.mean_px)
