"""What the host makes of a form's output, in heatmap cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
