"""What each decode form costs on an NPU, by the estimate of its vendor's compiler: nothing here has run on a chip."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from npuface_export.bundle import bytes_out
from npuface_export.compilers import compiler_by_name
from npuface_export.converters import ModelFiles, Recipe, converter_by_name
from npuface_export.decode import DecodeForm, HeatmapSpec
from npuface_export.target import Target
from npuface_runtime.errors import UserError

Shape = tuple[int, int]


@dataclass(frozen=True)
class DecodeCost:
    """One form on one target.

    Attributes:
        form, target: their names.
        body_ms: the same network ending at its heatmaps.
        decode_ms: what the decode adds; None where operators of it are on the CPU.
        cpu: operators of the whole model on the CPU.
        cpu_operators: their names.
        bytes_out: bytes that leave the network for one face.
        operator_ms: of the decode's operators on the NPU, by the compiler's names.
        refused: why there are no figures; None if there are.
    """

    form: str
    target: str
    body_ms: float | None = None
    decode_ms: float | None = None
    cpu: int | None = None
    cpu_operators: tuple[str, ...] = ()
    bytes_out: int | None = None
    operator_ms: Mapping[str, float] = field(default_factory=dict)
    refused: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def decode_costs(
    network: nn.Module, shape: Shape, spec: HeatmapSpec, forms: Sequence[DecodeForm], targets: Sequence[Target]
) -> Iterator[DecodeCost]:
    """Convert, quantize and compile a network with each form behind it, for each target.

    One conversion serves all targets that share a converter. The weights do not matter to the cost of a decode, and
    neither does what is calibrated on: one picture of noise.

    Args:
        network: pictures [1, 3, H, W] -> what the forms decode (spec.input_shape).
        shape: H and W.
        spec: what the forms are built for. Its threshold is taken as a share of the highest heatmap value.
        forms: those that decode something else than the network draws are left out.
        targets: each with a compiler.
    """
    picture = np.random.default_rng(0).normal(size=(1, 3, *shape)).astype(np.float32)
    with torch.no_grad():
        peak = float(network(torch.from_numpy(picture)).max())
    fitting = HeatmapSpec(**{**asdict(spec), "threshold": spec.threshold * peak})
    for form in forms:
        if spec.kind in form.kinds:
            yield from _costs_of(form, network, shape, fitting, picture, targets)


def _costs_of(
    form: DecodeForm,
    network: nn.Module,
    shape: Shape,
    spec: HeatmapSpec,
    picture: NDArray[np.float32],
    targets: Sequence[Target],
) -> Iterator[DecodeCost]:
    with tempfile.TemporaryDirectory() as work:
        models: dict[str, ModelFiles | str] = {}
        for target in targets:
            why = target.refuses_form(form, spec)
            if why is None and target.converter not in models:
                folder = Path(work) / target.converter
                models[target.converter] = _quantized(form, network, shape, spec, picture, target.converter, folder)
            model = why or models[target.converter]
            if isinstance(model, str):
                yield DecodeCost(form.name, target.name, refused=model)
            else:
                yield _compiled(form, model, target, Path(work))


def _quantized(
    form: DecodeForm,
    network: nn.Module,
    shape: Shape,
    spec: HeatmapSpec,
    picture: NDArray[np.float32],
    name: str,
    folder: Path,
) -> ModelFiles | str:
    """The INT8 model, its moments in 16 bits where the form has any; or why there is none."""
    converter, decode = converter_by_name(name), form.build(spec).eval()
    (folder / "int8").mkdir(parents=True)
    try:
        model = converter.convert(network.eval(), decode, shape, folder)
        recipe = Recipe(decode="int16" if form.has_moments else "int8")
        return converter.quantizer(model, [picture]).write(recipe, folder / "int8")
    except UserError as error:
        return error.why


def _compiled(form: DecodeForm, model: ModelFiles, target: Target, folder: Path) -> DecodeCost:
    if target.compiler is None:
        return DecodeCost(form.name, target.name, refused=f"{target.name} has no compiler that estimates")
    made = compiler_by_name(target.compiler).compile(model.files["model"], target, folder)
    estimate, placement = made.estimate, made.placement
    if estimate is None or placement is None or estimate.total_ms is None or not estimate.cycles:
        return DecodeCost(form.name, target.name, refused=f"{target.compiler} estimates no milliseconds")
    per_cycle = estimate.total_ms / estimate.cycles
    return DecodeCost(
        form=form.name,
        target=target.name,
        body_ms=estimate.body_ms,
        decode_ms=estimate.decode_ms,
        cpu=placement.cpu,
        cpu_operators=tuple(on_cpu.operator for on_cpu in placement.cpu_operators),
        bytes_out=bytes_out(model),
        operator_ms={name: cycles * per_cycle for name, cycles in estimate.decode_cycles.items()},
    )


def markdown_costs(costs: Sequence[DecodeCost]) -> str:
    """Forms by rows, extra milliseconds by targets; the form that costs least on the first target first."""
    names = list(dict.fromkeys(cost.target for cost in costs))
    by_form: dict[str, dict[str, DecodeCost]] = {}
    for cost in costs:
        by_form.setdefault(cost.form, {})[cost.target] = cost
    head = ("decode form", *(f"{name}, ms" for name in names), "CPU operators", "bytes out")
    lines = [head, ("---", *["---:"] * (len(head) - 1)), ("(the body alone)", *_bodies(costs, names), "", "")]
    lines += [_row(form, row, names) for form, row in sorted(by_form.items(), key=lambda item: _order(item[1]))]
    refused = [f"- {c.form} on {c.target}: {c.refused}" for c in costs if c.refused]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join(part for part in (table, "\n".join(refused)) if part) + "\n"


def _bodies(costs: Sequence[DecodeCost], names: Sequence[str]) -> list[str]:
    found = {cost.target: cost.body_ms for cost in costs if cost.body_ms is not None}
    return [f"{found[name]:.2f}" if name in found else "-" for name in names]


def _row(form: str, row: Mapping[str, DecodeCost], names: Sequence[str]) -> tuple[str, ...]:
    cpu = sorted({operator for cost in row.values() for operator in cost.cpu_operators})
    moved = next((cost.bytes_out for cost in row.values() if cost.bytes_out is not None), None)
    cells = [_milliseconds(row.get(name)) for name in names]
    return form, *cells, ", ".join(cpu) or "none", "-" if moved is None else f"{moved:,}"


def _milliseconds(cost: DecodeCost | None) -> str:
    if cost is None or cost.refused:
        return "refused"
    return "on the CPU" if cost.decode_ms is None else f"{cost.decode_ms:+.2f}"


def _order(row: Mapping[str, DecodeCost]) -> float:
    first = next(iter(row.values()))
    return float("inf") if first.decode_ms is None else first.decode_ms
