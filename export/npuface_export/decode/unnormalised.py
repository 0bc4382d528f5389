"""unnormalised: exp(beta (h - max h)), then three fixed convolutions of the map's size, division on the host.

The sums of `centred` without the softmax in front: its division cancels in the ratio, and the weights keep their
eight bits. The same weights as `per-map-maximum`, summed in one step instead of along one axis at a time.
"""

from __future__ import annotations

from npuface_export.decode.form import DecodeForm
from npuface_export.decode.needs import map_sums_needs
from npuface_export.decode.per_map_maximum import (
    ExponentialSquash,
    exponential_confidence,
    exponential_needs,
    exponential_points,
)
from npuface_export.decode.sums import SumsOf, grid_params, whole_grid

FORM = DecodeForm(
    name="unnormalised",
    summary="exp(beta (h - max h)), three H x W sums in 16 bits, divided on the host",
    needs=lambda spec: (*exponential_needs(spec), *map_sums_needs(spec)),
    points=exponential_points,
    build=lambda spec: SumsOf(ExponentialSquash(spec), spec),
    finish="sums",
    finish_params=lambda spec: {**grid_params(spec.height, spec.width), **exponential_confidence(spec)},
    grid=whole_grid,
)
