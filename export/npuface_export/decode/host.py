"""host: heatmaps leave the NPU, and numpy takes the softargmax. The accuracy ceiling and the cost to beat."""

from __future__ import annotations

from torch import nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec
from npuface_export.decode.relative_threshold import relative_threshold_points


def _build(spec: HeatmapSpec) -> nn.Module:
    return nn.Identity()


FORM = DecodeForm(
    name="host",
    summary="heatmaps leave the NPU, numpy decodes them",
    needs=lambda spec: (),
    points=relative_threshold_points,
    build=_build,
    finish="heatmaps",
    finish_params=lambda spec: {"threshold": spec.threshold},
)
