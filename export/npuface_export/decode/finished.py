"""What the host makes of a form's output, in heatmap cells."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npuface_export.decode.form import DecodeForm, HeatmapSpec
from npuface_runtime.host_halves import HOST_HALVES, Maps


def finished_cells(
    form: DecodeForm, spec: HeatmapSpec, outputs: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Outputs [N, ...] of a form's module, as real numbers, channels first -> points [N, K, 2] in cells and
    confidence [N, K], 0 to 1, or NaN where the form has none.
    """
    half, params = HOST_HALVES[form.finish], form.finish_params(spec)
    finished = [half.run(output, Maps(spec.points, spec.height, spec.width), params) for output in outputs]
    points, confidence = zip(*finished, strict=True)
    return np.stack(points), np.stack(confidence)


def mean_confidence(form: DecodeForm, spec: HeatmapSpec, heatmaps: Tensor) -> float | None:
    """Of the landmarks that heatmaps [N, C, H, W] show, in float; None where the form has no confidence."""
    with torch.no_grad():
        outputs = form.build(spec).eval()(heatmaps)
    mean = float(finished_cells(form, spec, outputs.numpy())[1].mean())
    return None if math.isnan(mean) else mean
