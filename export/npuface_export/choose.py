"""Which decode form a target gets: the cheapest that it can run and that leaves the landmarks where they belong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npuface_export.converters import target_recipe
from npuface_export.decode import FORMS, DecodeForm, HeatmapSpec, form_by_name
from npuface_export.decode.finished import finished_cells
from npuface_export.decode.form import moments_of
from npuface_export.decode.simulate import eight_bits, int8_output
from npuface_export.network import Network
from npuface_export.target import Target
from npuface_runtime.errors import UserError

BUDGET = 0.1
"""Heatmap px by which a form may move the landmarks on average, in float and again by its 8 bits."""
PREFERRED = 0.5
"""Share of the budget that a form is looked for within first. INT8 moves the landmarks of the shipped student by 0.04
px in its body, of which the choice of a form knows nothing. And the photograph is one face, partly covered or not: on
WFLW forms move the landmarks farther."""
CLEAR = 0.1
"""Maps whose maximum is under this share of the largest show no landmark: rounding decides there."""
ADAPTIVE = {"heatmaps": "relative-threshold", "heatmap-offset": "heatmap-offset", "simcc": "simcc"}
"""By kind, the form that stands for a decode that nobody knows: it takes peaks as they come, at any level."""

Refusals = tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Moved:
    """How far a form moves the landmarks on average, in heatmap px.

    Attributes:
        float_px: its float points against the reference; None where the form is the reference itself.
        int8_px: its points in INT8, simulated, against its float points; None where the target runs no INT8.
        reference: what the forms are compared with, in words (see reference_name).
    """

    float_px: float | None
    int8_px: float | None
    reference: str

    def refuses(self, budget: float) -> str | None:
        """Why this is over the budget; None if it is not."""
        if self.float_px is not None and not self.float_px <= budget:
            return f"it moves the landmarks by {self.float_px:.2g} heatmap px against {self.reference}, over {budget:g}"
        if self.int8_px is not None and not self.int8_px <= budget:
            return f"8 bits move its landmarks by {self.int8_px:.2g} heatmap px (simulated), over {budget:g}"
        return None

    @property
    def worst(self) -> float:
        """The largest of what there is; infinite where one is no number."""
        figures = [px for px in (self.float_px, self.int8_px) if px is not None]
        return max((math.inf if math.isnan(px) else px for px in figures), default=0.0)


@dataclass(frozen=True)
class Choice:
    """A decode form for a target.

    Attributes:
        form: the one that was taken.
        refused: ones that were not, each {"form", "reason"}: those that cannot decode such heatmaps at all, then the
            cheaper ones, cheapest first.
        moved: what the form does to the landmarks.
        warning: why it would not have been taken, had it not been asked for; None where it would.
    """

    form: DecodeForm
    refused: Refusals
    moved: Moved
    warning: str | None = None


def choose_form(
    network: Network, target: Target, heatmaps: Tensor, forced: str | None = None, budget: float = BUDGET
) -> Choice:
    """The cheapest decode form that a target can run and that keeps to half the error budget, or else to all of it.

    Args:
        network: what it goes behind; its own decode, or what stands for it, is what the forms are compared with.
        target: what it is to run on.
        heatmaps: what enters the decode on some pictures of faces, float32 [N, C, H, W].
        forced: a form to take instead. One over the budget is taken with a warning.
        budget: in heatmap px.

    Raises:
        UserError: the forced form is unknown, the target cannot run it, or every form is over the budget.
    """
    spec = network.spec
    if forced is not None:
        return _forced(form_by_name(forced), network, target, heatmaps, budget)
    moved: dict[str, Moved] = {}
    for limit in (PREFERRED * budget, budget):
        refused = unfit(spec)
        for form in by_cost(target, spec):
            reason = target.refuses_form(form, spec)
            if reason is None:
                if form.name not in moved:
                    moved[form.name] = measure(form, network, target, heatmaps)
                reason = moved[form.name].refuses(budget)
                if reason is None and (nearer := moved[form.name].refuses(limit)):
                    reason = f"{nearer}, which a dearer form keeps to"
            if reason is None:
                return Choice(form, tuple(refused), moved[form.name])
            refused.append({"form": form.name, "reason": reason})
    if not moved:
        raise UserError(f"{target.name} runs no decode form", refused[-1]["reason"], "choose another target")
    nearest, name = min((one.worst, name) for name, one in moved.items())
    raise UserError(
        f"no decode form keeps {network.name} within {budget:g} heatmap px on {target.name}",
        f"the nearest is {name}, with {nearest:.2g}",
        f"force it with --decode {name}, or give a larger --max-decode-error",
    )


def _forced(form: DecodeForm, network: Network, target: Target, heatmaps: Tensor, budget: float) -> Choice:
    spec = network.spec
    reason = target.refuses_form(form, spec)
    if reason:
        fits = [f.name for f in by_cost(target, spec) if not target.refuses_form(f, spec)]
        raise UserError(
            f"{target.name} cannot run the decode form {form.name}",
            reason,
            f"use {' or '.join(fits)}" if fits else "choose another target",
        )
    moved = measure(form, network, target, heatmaps)
    return Choice(form, (), moved, moved.refuses(budget))


def by_cost(target: Target, spec: HeatmapSpec) -> list[DecodeForm]:
    """The forms that decode what the network draws, the cheapest on the target first; equals by name."""
    forms = (FORMS[name] for name in sorted(FORMS) if not FORMS[name].refuses(spec))
    return sorted(forms, key=lambda form: cost_of(form, target, spec))


def unfit(spec: HeatmapSpec) -> list[dict[str, str]]:
    """The forms of the kind that cannot decode heatmaps of this size, each {"form", "reason"}, by name."""
    of_kind = (FORMS[name] for name in sorted(FORMS) if spec.kind in FORMS[name].kinds)
    return [{"form": form.name, "reason": reason} for form in of_kind if (reason := form.refuses(spec))]


def cost_of(form: DecodeForm, target: Target, spec: HeatmapSpec) -> float:
    """What a form costs on a target, in the target's unit (see target.Cost)."""
    return target.cost.of(form.needs(spec), spec.points, form_bytes_out(form, spec))


def form_bytes_out(form: DecodeForm, spec: HeatmapSpec) -> int:
    """Bytes that a form lets out of an INT8 network for one face: 2 a value where 16-bit moments leave, else 1."""
    with torch.device("meta"):
        module = form.build(spec)
        values = int(module(torch.empty(spec.input_shape)).numel())
    return values * (2 if moments_of(module) else 1)


def measure(form: DecodeForm, network: Network, target: Target, heatmaps: Tensor) -> Moved:
    """How far a form moves the landmarks that heatmaps [N, C, H, W] show."""
    spec = network.spec
    clear = _clear(heatmaps, network)
    with torch.no_grad():
        exact = form.points(heatmaps, spec).numpy()
        own = None if _is_reference(form, network) else own_points(network, heatmaps).numpy()
    float_px = None if own is None else _distance(exact, own, clear)
    int8_px = None
    if "int8" in target.precisions:
        int8_px = _distance(_int8_points(form, spec, target, heatmaps), exact, clear)
    return Moved(float_px, int8_px, reference_name(network))


def _int8_points(form: DecodeForm, spec: HeatmapSpec, target: Target, heatmaps: Tensor) -> NDArray[np.floating]:
    """Points [N, K, 2] in cells as a form gives them in INT8, simulated with the decode in the target's type."""
    decode = target_recipe(target, form).decode
    with torch.no_grad():
        if decode.startswith("float"):
            rounded = form.build(spec).eval()(eight_bits(heatmaps))
        else:
            rounded = int8_output(form, spec, heatmaps, wide=decode == "int16")
    return finished_cells(form, spec, rounded.numpy())[0]


def own_points(network: Network, heatmaps: Tensor) -> Tensor:
    """Points [N, K, 2] in cells by the decode that the network was trained with, or by what stands for it."""
    if network.own_points is not None:
        return network.own_points(heatmaps)
    return form_by_name(_reference_form(network)).points(heatmaps, network.spec)


def reference_name(network: Network) -> str:
    """What own_points decodes by, in words."""
    if network.own_points is not None:
        return "the model's own decode"
    if network.decode is not None:
        return "the decode that the network was trained with"
    return f"{ADAPTIVE[network.kind]} with the threshold {network.threshold:g}"


def _reference_form(network: Network) -> str:
    return network.decode or ADAPTIVE[network.kind]


def _is_reference(form: DecodeForm, network: Network) -> bool:
    return network.own_points is None and form.name == _reference_form(network)


def _clear(heatmaps: Tensor, network: Network) -> NDArray[np.bool_]:
    """Which landmarks [N, K] the maps show. Raises UserError where they show none."""
    maps = heatmaps[:, : network.points]
    clear = maps.amax(dim=(2, 3)) >= CLEAR * maps.abs().max()
    if not clear.any():
        raise UserError(f"cannot export {network.name}", "it draws no peak in any heatmap", "train the network first")
    return np.asarray(clear.numpy())


def _distance(points: NDArray[np.floating], others: NDArray[np.floating], clear: NDArray[np.bool_]) -> float:
    """Mean distance of points [N, K, 2] over those that are clear [N, K]."""
    return float(np.linalg.norm(points - others, axis=-1)[clear].mean())
