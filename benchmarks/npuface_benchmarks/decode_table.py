"""Every decode form measured: float against float64, INT8 on LiteRT, on synthetic maps and on networks' own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npuface_benchmarks.decode_cost import decode_costs
from npuface_benchmarks.decode_litert import litert_points
from npuface_benchmarks.decode_scenes import SCENES, at_sigma, scene_maps
from npuface_export.choose import form_bytes_out
from npuface_export.decode import DecodeForm, HeatmapSpec
from npuface_export.decode.finished import finished_cells
from npuface_export.decode.simulate import int8_output
from npuface_export.network import Network
from npuface_export.target import Target
from npuface_runtime.errors import UserError

logger = logging.getLogger("npuface.forms")
Floats = NDArray[np.floating]
_POINTS, _CELLS = 12, 64
_FACES, _CALIBRATION = 8, 2
"""Synthetic faces that each kind of map is measured on, and that the ranges are taken from."""
_CLEAR = 0.1
"""Maps whose maximum is under this share of the highest show no landmark."""
_WORST = 0.1
"""Share of a network's landmarks, those farthest from the truth, that the confidence should tell from the others."""


@dataclass(frozen=True)
class SceneFigures:
    """A form on one kind of synthetic map (see decode_scenes), in heatmap px.

    Attributes:
        float_truth, int8_truth: mean distance from the true peak.
        int8_mean, int8_max: how far INT8 moves the points that float64 gives.
        confidence: mean, in INT8; None where the form has none.
    """

    float_truth: float
    int8_truth: float
    int8_mean: float
    int8_max: float
    confidence: float | None


@dataclass(frozen=True)
class NetworkFigures:
    """A form on the maps that a network draws, in heatmap px; INT8 is the decode's alone, behind the float network.

    Attributes:
        float_mean: how far the form's points lie from those of the network's own decode.
        int8_mean, int8_max: how far INT8 moves the form's own float points, on maps with a clear peak.
        truth_float, truth_int8: mean distance from the labels; None where there are none.
        separation: share of pairs, a landmark of the worst tenth and one of the others, in which the confidence is
            lower for the bad one: 0.5 is a guess, 1 tells them apart. None without labels or confidence.
        faces: how many it was measured on.
    """

    float_mean: float
    int8_mean: float
    int8_max: float
    truth_float: float | None
    truth_int8: float | None
    separation: float | None
    faces: int


@dataclass(frozen=True)
class FormFigures:
    """One form.

    Attributes:
        form, summary, kind: what it is, and what it decodes.
        bytes_out: of 98 landmarks on 64 x 64 cells, in INT8.
        int8: what computed the INT8 figures: "LiteRT", or "simulated: " and why LiteRT could not.
        float_error: largest distance of the built module in float32 from float64, over all maps with a peak.
        scenes: by name.
        networks: by name.
        extra_ms: what a vendor's compiler estimates that the decode adds behind the shipped student's body, by
            target; None where it runs on the CPU or is refused.
    """

    form: str
    summary: str
    kind: str
    bytes_out: int
    int8: str
    float_error: float
    scenes: Mapping[str, SceneFigures]
    networks: Mapping[str, NetworkFigures]
    extra_ms: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkMaps:
    """What a network draws.

    Attributes:
        name: for tables.
        spec: of its decode.
        maps: what enters the decode, float32 [N, C, H, W]; the first third gives the ranges, the others are measured.
        own: its own decode, maps -> points [N, K, 2] in cells.
        truth: labels [N, K, 2] in cells; None where there are none.
    """

    name: str
    spec: HeatmapSpec
    maps: Tensor
    own: Callable[[Tensor], Tensor]
    truth: Floats | None


def measure_form(form: DecodeForm, networks: Sequence[NetworkMaps]) -> FormFigures:
    """All figures of a form; networks that draw another kind are left out."""
    (kind, *_) = form.kinds
    spec = HeatmapSpec(_POINTS, _CELLS, _CELLS, kind=kind)
    logger.info("%s: synthetic maps", form.name)
    runner = _Int8(form)
    float_error, scenes = _measure_scenes(form, spec, runner)
    fitting = [network for network in networks if network.spec.kind in form.kinds]
    figures = {}
    for network in fitting:
        logger.info("%s: %s", form.name, network.name)
        figures[network.name] = _measure_network(form, network, runner)
    return FormFigures(
        form=form.name,
        summary=form.summary,
        kind=kind,
        bytes_out=form_bytes_out(form, replace(spec, points=98)),
        int8=runner.how,
        float_error=float_error,
        scenes=scenes,
        networks=figures,
    )


class _Int8:
    """Runs a form in INT8: on LiteRT, or simulated where LiteRT refuses it; `how` says which."""

    def __init__(self, form: DecodeForm) -> None:
        self.form = form
        self.how = "LiteRT"

    def __call__(self, spec: HeatmapSpec, calibration: Tensor, maps: Tensor) -> tuple[Floats, Floats]:
        """Points [N, K, 2] and confidence [N, K]."""
        try:
            return litert_points(self.form, spec, calibration, maps)
        except UserError as error:
            self.how = f"simulated: {error.why}"
            output = int8_output(self.form, spec, torch.cat([calibration, maps])).numpy()[len(calibration) :]
            return finished_cells(self.form, spec, output)


def _measure_scenes(form: DecodeForm, spec: HeatmapSpec, runner: _Int8) -> tuple[float, dict[str, SceneFigures]]:
    """The largest float error, and the figures of every scene. Scenes of one width share a model, as in a network."""
    worst, figures = 0.0, {}
    for sigma in sorted({scene.sigma for scene in SCENES}):
        scenes = [scene for scene in SCENES if scene.sigma == sigma]
        fitting = at_sigma(spec, scenes[0])
        calibration = [
            scene_maps(scene, fitting, _CALIBRATION, 100 + i)[0] for i, scene in enumerate(scenes) if scene.height
        ]
        drawn = [scene_maps(scene, fitting, _FACES, i) for i, scene in enumerate(scenes)]
        maps = torch.cat([one for one, _ in drawn])
        exact, built = _exact(form, fitting, maps), _built(form, fitting, maps)
        cells, confidence = runner(fitting, torch.cat(calibration), maps)
        for i, scene in enumerate(scenes):
            part = slice(i * _FACES, (i + 1) * _FACES)
            if scene.height:
                worst = max(worst, float(_distances(built[part], exact[part]).max()))
            figures[scene.name] = _scene_figures(exact[part], cells[part], confidence[part], drawn[i][1])
    return worst, {scene.name: figures[scene.name] for scene in SCENES}


def _scene_figures(exact: Floats, cells: Floats, confidence: Floats, truth: Floats) -> SceneFigures:
    moved = _distances(cells, exact)
    return SceneFigures(
        float_truth=float(_distances(exact, truth).mean()),
        int8_truth=float(_distances(cells, truth).mean()),
        int8_mean=float(moved.mean()),
        int8_max=float(moved.max()),
        confidence=None if np.isnan(confidence).all() else float(np.nanmean(confidence)),
    )


def _measure_network(form: DecodeForm, network: NetworkMaps, runner: _Int8) -> NetworkFigures:
    first = max(1, len(network.maps) // 3)
    maps, spec = network.maps[first:], network.spec
    cells, confidence = runner(spec, network.maps[:first], maps)
    exact = _built(form, spec, maps.double())  # finished by the host, which has an answer for a map without a landmark
    heights = maps[:, : spec.points].amax(dim=(2, 3))
    clear = (heights >= _CLEAR * heights.max()).numpy()
    own = network.own(maps).numpy()
    moved = _distances(cells, exact)[clear]
    truth = None if network.truth is None else network.truth[first:]
    return NetworkFigures(
        float_mean=float(_distances(exact, own)[clear].mean()),
        int8_mean=float(moved.mean()),
        int8_max=float(moved.max()),
        truth_float=None if truth is None else float(_distances(exact, truth).mean()),
        truth_int8=None if truth is None else float(_distances(cells, truth).mean()),
        separation=None if truth is None else separation(confidence, _distances(cells, truth)),
        faces=len(maps),
    )


def separation(confidence: Floats, errors: Floats) -> float | None:
    """Share of pairs of a landmark among the worst tenth and one of the others that the confidence puts in the right
    order, ties counted half: the area under the ROC curve. None where the form has no confidence.
    """
    if np.isnan(confidence).any():
        return None
    bad = errors >= np.quantile(errors, 1 - _WORST)
    low, high = confidence[bad].ravel(), np.sort(confidence[~bad].ravel())
    above = len(high) - np.searchsorted(high, low, side="right")
    equal = len(high) - above - np.searchsorted(high, low, side="left")
    return float((above + equal / 2).mean() / len(high))


def _exact(form: DecodeForm, spec: HeatmapSpec, maps: Tensor) -> Floats:
    """Points [N, K, 2] in float64."""
    with torch.no_grad():
        return np.asarray(form.points(maps.double(), spec).numpy())


def _built(form: DecodeForm, spec: HeatmapSpec, maps: Tensor) -> Floats:
    """Points [N, K, 2] of the built module and the host, in the type of the maps."""
    with torch.no_grad():
        points, _ = finished_cells(form, spec, form.build(spec).eval().to(maps.dtype)(maps).numpy())
    return points


def _distances(points: Floats, others: Floats) -> Floats:
    return np.asarray(np.linalg.norm(points - others, axis=-1))


def with_costs(
    figures: Sequence[FormFigures],
    forms: Sequence[DecodeForm],
    networks: Sequence[Network],
    targets: Sequence[Target],
) -> list[FormFigures]:
    """The figures with what each target's compiler estimates that a form adds behind the first network of its kind."""
    added: dict[str, dict[str, float | None]] = {form.name: {} for form in forms}
    for network in {network.kind: network for network in reversed(networks)}.values() if targets else ():
        for cost in decode_costs(network.module, network.input_shape, network.spec, forms, targets):
            logger.info("%s on %s: %s ms", cost.form, cost.target, cost.decode_ms)
            added[cost.form][cost.target] = cost.decode_ms
    return [replace(one, extra_ms=added[one.form]) for one in figures]


def measure_forms(forms: Sequence[DecodeForm], networks: Sequence[NetworkMaps]) -> Iterator[FormFigures]:
    """The figures of each form in turn."""
    for form in forms:
        yield measure_form(form, networks)
