"""From a checkpoint's heatmaps to points, by the decode form that it was trained with."""

from __future__ import annotations

from torch import Tensor

from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.decode.finished import mean_confidence
from npuface_toolkit.checkpoint import StudentInfo


def decoded(info: StudentInfo, heatmaps: Tensor) -> Tensor:
    """Heatmaps [N, K, H, W] of a checkpoint's network, at whatever size -> points [N, K, 2] in cells."""
    return form_by_name(info.decode).points(heatmaps, _spec(info, heatmaps))


def confidence(info: StudentInfo, heatmaps: Tensor) -> float | None:
    """The mean of what heatmaps [N, K, H, W] of a checkpoint's network show; None where its decode has none."""
    return mean_confidence(form_by_name(info.decode), _spec(info, heatmaps), heatmaps)


def _spec(info: StudentInfo, heatmaps: Tensor) -> HeatmapSpec:
    points, height, width = heatmaps.shape[1:]
    return HeatmapSpec(points, height, width, info.beta, info.threshold, info.sigma)
