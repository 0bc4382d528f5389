"""separable: softmax, then its marginals and their moments, division on the host.

The kernels are a column and a row instead of the whole map, which most NPUs like better. The probabilities are those
of the published form, with its background bias.
"""

from __future__ import annotations

from npuface_export.decode.form import DecodeForm
from npuface_export.decode.needs import marginals_needs, moments_needs, softmax_needs
from npuface_export.decode.seed import softargmax_points
from npuface_export.decode.sums import MapSoftmax, MomentsOf, grid_params, whole_grid

FORM = DecodeForm(
    name="separable",
    summary="softmax, separable sums, 16-bit moments, divided on the host",
    needs=lambda spec: (*softmax_needs(spec), *marginals_needs(spec), *moments_needs(spec)),
    points=softargmax_points,
    build=lambda spec: MomentsOf(MapSoftmax(spec), spec),
    finish="moments",
    finish_params=lambda spec: grid_params(spec.height, spec.width),
    grid=whole_grid,
)
