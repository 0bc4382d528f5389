"""marginals: relu(h - t max h), and the two marginals leave as they are. The host takes the moments near their peaks.

Nothing on the NPU needs 16 bits, and a second peak does not drag the point: the host looks at a window around the
highest column and the highest row only. It costs K (W + H) bytes to move instead of 8 K.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need, expected_cell
from npuface_export.decode.needs import marginals_needs
from npuface_export.decode.relative_threshold import RelativeSquash, relative_needs, relative_weights, threshold_mass
from npuface_export.decode.sums import Marginals


def _window(spec: HeatmapSpec) -> int:
    """Cells to either side of a peak to where it falls below the threshold, and two more for what noise adds."""
    return math.ceil(spec.sigma * math.sqrt(-2 * math.log(spec.threshold))) + 2


class BothMarginals(nn.Module):
    """Heatmaps [N, K, H, W] -> [N, K, 1, W + H]: the sums of relu(h - t max h) over rows, then over columns."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.shape = (spec.points, 1, spec.height)
        self.squash = RelativeSquash(spec)
        self.marginals = Marginals(spec)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, K, 1, W + H]."""
        across, down = self.marginals(self.squash(heatmaps)[0])
        return torch.cat([across, down.reshape(-1, *self.shape)], dim=3)


def windowed_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """Heatmaps [N, K, H, W] -> points [N, K, 2] in cells: along either axis the mean cell near the highest one."""
    weights = relative_weights(heatmaps, spec)
    return torch.stack([_near(weights.sum(dim=-2), spec), _near(weights.sum(dim=-1), spec)], dim=-1)


def _near(sums: Tensor, spec: HeatmapSpec) -> Tensor:
    """Marginal [N, K, n] -> its mean place [N, K] within the window around its highest."""
    place = torch.arange(sums.shape[-1], dtype=sums.dtype, device=sums.device)
    near = sums * ((place - sums.argmax(dim=-1, keepdim=True)).abs() <= _window(spec))
    return expected_cell(near[..., None, :])[..., 0]


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    k, h, w = spec.points, spec.height, spec.width
    return (
        *relative_needs(spec),
        *marginals_needs(spec),
        Need("Reshape", work=k * h),
        Need("Concat", work=k * (h + w)),
    )


FORM = DecodeForm(
    name="marginals",
    summary="relu(h - t max h), both marginals leave, the host takes windowed moments",
    needs=_needs,
    points=windowed_points,
    build=BothMarginals,
    finish="marginals",
    finish_params=lambda spec: {"window": _window(spec), "ideal_mass": threshold_mass(spec)},
)
