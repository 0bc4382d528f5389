"""centred: softmax, then three fixed convolutions: mass, and both coordinates on a grid around the middle.

The published form with two repairs that cost one more kernel. Coordinates count from the middle of the map, so that
mass lost by rounding no longer pulls a point to the corner; and the mass leaves too, so that the host can divide by
what is left of it. The weights are exact in INT8. The background bias of the softmax stays.
"""

from __future__ import annotations

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need
from npuface_export.decode.needs import map_sums_needs, softmax_needs
from npuface_export.decode.seed import softargmax_points
from npuface_export.decode.sums import MapSoftmax, SumsOf, grid_params, whole_grid


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    return (*softmax_needs(spec), *map_sums_needs(spec))


FORM = DecodeForm(
    name="centred",
    summary="softmax, mass and centred sums by three H x W convs, divided on the host",
    needs=_needs,
    points=softargmax_points,
    build=lambda spec: SumsOf(MapSoftmax(spec), spec),
    finish="sums",
    finish_params=lambda spec: grid_params(spec.height, spec.width),
    grid=whole_grid,
)
