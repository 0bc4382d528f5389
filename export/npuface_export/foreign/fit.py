"""Beta and threshold of the decode forms for a network that nobody here trained, found on pictures of faces.

Both are chosen by the distance in float from the model's own decode (from the sub-pixel argmax where it has none), on
one part of the faces, and reported on the other. The argmax is not the truth: where it stands for the model's own
decode, the threshold stays what it was, and what was found is only told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npuface_export.calibration import CalibrationFaces
from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.decode.seed import softargmax_points
from npuface_export.foreign.sub_pixel import sub_pixel_argmax
from npuface_export.network import Network

LIMIT = 0.25
"""Heatmap px. A beta or a threshold whose landmarks lie farther than this from the model's own, on average, is not a
good one."""
DEFAULT_BETA = 20.0
_CLEAR = 0.1
_HEIGHTS = np.geomspace(2, 400, 28)
"""Betas, times the height of a peak over its map."""
_THRESHOLDS = np.arange(1, 20) / 20
_REACH = 4.0
"""Sigmas from the highest cell to where the background begins."""

Points = Callable[[Tensor, HeatmapSpec], Tensor]
Reference = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Fit:
    """What was found. Errors and biases are mean distances in heatmap px.

    Attributes:
        reference: what errors are distances from: the model's own decode, or the sub-pixel argmax.
        beta: for the softmax forms; None for networks that have none.
        threshold, threshold_error: the best relative threshold; of it.
        threshold_before, threshold_error_before: the network's before; of it.
        threshold_in_use: the best where it is better and the reference is the model's own decode; else that before.
        sigma: width of the peaks, over the threshold in use.
        faces: that the figures are of.
        error, error_before: of softargmax, with beta and with the one before.
        bias, bias_before: what the cells far from a peak do to softargmax.
        beta_before: the model's own, or the published default.
        warning: where neither beta nor the best threshold is good; None where one is.
    """

    reference: str
    beta: float | None
    threshold: float
    threshold_error: float
    threshold_before: float
    threshold_error_before: float
    threshold_in_use: float
    sigma: float
    faces: int
    error: float | None = None
    error_before: float | None = None
    bias: float | None = None
    bias_before: float | None = None
    beta_before: float | None = None
    warning: str | None = None


def fit_decode(network: Network, faces: CalibrationFaces) -> Fit:
    """Choose beta and threshold for a network by the distance from its own decode, or from the sub-pixel argmax."""
    chosen_on, measured_on = (_maps(network, pictures) for pictures in (faces.varied, faces.plain))
    reference = network.own_points or sub_pixel_argmax
    found = _threshold_fit(network, reference, chosen_on, measured_on)
    if network.kind == "heatmaps":
        spec = replace(network.spec, sigma=found.sigma)
        beta = _best(
            np.append(_HEIGHTS / _peak_height(chosen_on), network.beta),
            lambda b: _error(softargmax_points, replace(spec, beta=b), reference, chosen_on),
        )
        found = replace(
            found,
            beta=beta,
            beta_before=network.beta,
            error=_error(softargmax_points, replace(spec, beta=beta), reference, measured_on),
            error_before=_error(softargmax_points, network.spec, reference, measured_on),
            bias=_bias(replace(spec, beta=beta), measured_on),
            bias_before=_bias(replace(spec, beta=network.beta), measured_on),
        )
    return replace(found, warning=_warning(found))


def _threshold_fit(network: Network, reference: Reference, chosen_on: Tensor, measured_on: Tensor) -> Fit:
    """All but beta, from the maps of either part of the faces."""
    form = form_by_name("heatmap-offset" if network.kind == "heatmap-offset" else "relative-threshold")

    def error(threshold: float, maps: Tensor) -> float:
        return _error(form.points, replace(network.spec, threshold=threshold), reference, maps)

    best, before = _best(_THRESHOLDS, lambda threshold: error(threshold, chosen_on)), network.threshold
    best_error, error_before = error(best, measured_on), error(before, measured_on)
    is_taken = network.own_points is not None and best_error < error_before
    in_use = best if is_taken else before
    return Fit(
        reference="the sub-pixel argmax" if network.own_points is None else "the model's own decode",
        beta=None,
        threshold=best,
        threshold_error=best_error,
        threshold_before=before,
        threshold_error_before=error_before,
        threshold_in_use=in_use,
        sigma=_sigma(chosen_on[:, : network.points], replace(network.spec, threshold=in_use)),
        faces=len(measured_on),
    )


def _warning(found: Fit) -> str | None:
    if found.threshold_error <= LIMIT or (found.error is not None and found.error <= LIMIT):
        return None
    best = f"the best threshold, {found.threshold:g}, leaves the landmarks {found.threshold_error:.2g} heatmap px"
    if found.beta is None:
        return f"no threshold is good: {best} from {found.reference}, over {LIMIT:g}"
    return (
        f"neither a threshold nor a beta is good: {best} from {found.reference} and the best beta, "
        f"{found.beta:.3g}, {found.error:.2g}, both over {LIMIT:g}"
    )


def _maps(network: Network, pictures: Sequence[NDArray[np.float32]]) -> Tensor:
    """What enters the decode, [N, C, H, W], of pictures RGB [H, W, 3] in 0..255."""
    mean, std = np.asarray(network.mean), np.asarray(network.std)
    with torch.no_grad():
        entered = (((p - mean) / std).astype(np.float32).transpose(2, 0, 1)[None] for p in pictures)
        return torch.cat([network.module(torch.from_numpy(np.ascontiguousarray(picture))) for picture in entered])


def _clear(maps: Tensor, points: int) -> Tensor:
    """Which landmarks [N, K] stand on a peak; those that do not are decided by rounding."""
    peaks = maps[:, :points].amax(dim=(2, 3))
    clear = peaks >= _CLEAR * maps[:, :points].abs().max()
    return clear if bool(clear.any()) else torch.ones_like(clear)


def _error(points: Points, spec: HeatmapSpec, reference: Reference, maps: Tensor) -> float:
    distances = torch.linalg.vector_norm(points(maps, spec) - reference(maps), dim=-1)
    return float(distances[_clear(maps, spec.points)].mean())


def _bias(spec: HeatmapSpec, maps: Tensor) -> float:
    """How far softargmax moves when the cells beyond _REACH sigmas of the highest one stop counting."""
    best = maps.flatten(2).argmax(dim=-1)
    row, column = (best // spec.width)[..., None, None], (best % spec.width)[..., None, None]
    down, across = torch.arange(spec.height)[:, None], torch.arange(spec.width)[None, :]
    reach = max(3.0, _REACH * spec.sigma)
    near = maps.masked_fill(((down - row) ** 2 + (across - column) ** 2) > reach**2, -math.inf)
    moved = torch.linalg.vector_norm(softargmax_points(maps, spec) - softargmax_points(near, spec), dim=-1)
    return float(moved[_clear(maps, spec.points)].mean())


def _peak_height(maps: Tensor) -> float:
    """Median height of a peak over the median of its map."""
    flat = maps.flatten(2)
    return max(float((flat.amax(dim=-1) - flat.median(dim=-1).values).median()), 1e-12)


def _sigma(maps: Tensor, spec: HeatmapSpec) -> float:
    """Width of the peaks, from the mass over the threshold: 2 pi sigma^2 (1 - t + t ln t) for a peak of height 1."""
    t = spec.threshold
    peak = maps.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
    mass = float(torch.relu(maps / peak - t).sum(dim=(2, 3)).median())
    sigma = math.sqrt(mass / (2 * math.pi * (1 - t + t * math.log(t))))
    return min(max(sigma, 0.3), max(spec.height, spec.width) / 4)


def _best(values: NDArray[np.float64], error: Callable[[float], float]) -> float:
    """The value of the smallest error, three digits."""
    return min((float(f"{value:.3g}") for value in values), key=error)
