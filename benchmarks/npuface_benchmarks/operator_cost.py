"""What one unit of an operator's work costs on a target: the [cost.operators] of its TOML.

python -m npuface_benchmarks.operator_cost TARGET [TARGET ...] prints them. Decode forms are compiled for the target
behind one convolution that draws maps, and what the compiler estimates for an operator, over all forms, is divided by
the work that the forms declare for it. For a CPU engine it is what ONNX Runtime's profiler measures here, in float and
on one thread: a rough figure for this engine, and a rougher one for others.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from npuface_benchmarks.decode_cost import DecodeCost, decode_costs
from npuface_export.converters import converter_by_name
from npuface_export.decode import FORMS, DecodeForm, HeatmapSpec
from npuface_export.decode.form import Need
from npuface_export.target import OperatorCost, target_by_name

SPEC = HeatmapSpec(points=98, height=64, width=64)
"""Costs are taken where they matter: on the maps of 98 landmarks at 256 x 256."""
_RUNS = 20
FORMS_TAKEN = (
    "threshold-marginals",
    "relative-threshold",
    "per-map-maximum",
    "unnormalised",
    "hierarchical",
    "centred",
    "onebyone",
)
"""Forms that have every operator between them."""
_ONNX_NAMES: Mapping[str, tuple[str, ...]] = {
    "Conv2D": ("Conv",),
    "DepthwiseConv2D": ("Conv",),
    "Quantize": ("Conv",),
    "ConcatTFLite": ("Concat",),
    "Transpose": ("Transpose", "Reshape"),
}
"""The operator that brings a compiler's, the first that a form needs. 16-bit convolutions bring their Quantize, and the
converter brings a Transpose with every Reshape. Other operators have one name."""


def operator_costs(costs: Iterable[DecodeCost], spec: HeatmapSpec) -> dict[str, OperatorCost]:
    """What each operator costs on a target, in nanoseconds a unit of work.

    Args:
        costs: of forms on that one target.
        spec: what they were built for.
    """
    spent: dict[str, list[tuple[float, float, float]]] = {}
    for cost in costs:
        if cost.refused is None:
            needs = FORMS[cost.form].needs(spec)
            for operator, nanoseconds in _by_need(cost.operator_ms, needs).items():
                spent.setdefault(operator, []).append((*_amounts(operator, needs, spec.points), nanoseconds))
    return {operator: _fit(np.array(rows)) for operator, rows in sorted(spent.items())}


def _by_need(operator_ms: Mapping[str, float], needs: Sequence[Need]) -> dict[str, float]:
    """Nanoseconds of each operator that a form needs; 0 for one that the compiler fused into another."""
    needed = {need.operator: 0.0 for need in needs}
    for name, milliseconds in operator_ms.items():
        brought = next((onnx for onnx in _ONNX_NAMES.get(name, (name,)) if onnx in needed), None)
        if brought is not None:
            needed[brought] += milliseconds * 1e6
    return needed


def _amounts(operator: str, needs: Sequence[Need], points: int) -> tuple[float, float]:
    """Work and kernel cells that a form asks of an operator."""
    mine = [need for need in needs if need.operator == operator]
    cells = sum(need.kernel[0] * need.kernel[1] for need in mine if need.kernel) * points
    return float(sum(need.work for need in mine)), float(cells)


def _fit(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> OperatorCost:
    """Rows (work, kernel cells, nanoseconds) -> the costs that fit best, each row counting alike, none below 0."""
    work, cells, nanoseconds = rows.T
    if not nanoseconds.any() or not work.any():
        return OperatorCost(0.0)
    if np.unique(work).size > 1 and cells.any():
        scale = 1 / np.maximum(nanoseconds, 1.0)
        both, *_ = np.linalg.lstsq(rows[:, :2] * scale[:, None], nanoseconds * scale, rcond=None)
        if both.min() >= 0:
            return OperatorCost(float(both[0]), float(both[1]))
    return OperatorCost(float(nanoseconds.sum() / work.sum()))


def profiled(form: DecodeForm) -> DecodeCost:
    """What ONNX Runtime spends on each operator of a form, the median of some runs."""
    with tempfile.TemporaryDirectory() as work:
        network, decode = nn.Conv2d(3, SPEC.points, 1).eval(), form.build(SPEC).eval()
        model = converter_by_name("onnxruntime").convert(network, decode, (SPEC.height, SPEC.width), Path(work))
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.intra_op_num_threads = True, 1
        options.profile_file_prefix = str(Path(work) / "profile")
        session = onnxruntime.InferenceSession(model.files["model"], options, providers=["CPUExecutionProvider"])
        picture = np.zeros(session.get_inputs()[0].shape, np.float32)
        for _ in range(_RUNS):
            session.run(None, {session.get_inputs()[0].name: picture})
        events = json.loads(Path(session.end_profiling()).read_text())
    spent: dict[tuple[int, str], list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            args = event["args"]
            spent.setdefault((int(args["node_index"]), args["op_name"]), []).append(event["dur"] / 1000)
    del spent[min(spent)]  # the convolution that draws the maps
    milliseconds: dict[str, float] = {}
    for (_, operator), times in spent.items():
        milliseconds[operator] = milliseconds.get(operator, 0.0) + float(np.median(times))
    return DecodeCost(form.name, "onnxruntime", operator_ms=milliseconds)


def cost_table(costs: Mapping[str, OperatorCost]) -> str:
    """As a target's TOML has it."""
    lines = ["[cost.operators]"]
    for name, cost in costs.items():
        kernel = f", kernel = {cost.kernel:.3g}" if cost.kernel else ""
        lines.append(f"{name} = {{ work = {cost.work:.3g}{kernel} }}")
    return "\n".join(lines)


def main(names: Sequence[str]) -> None:
    """Print the costs of targets."""
    torch.manual_seed(0)
    forms = [FORMS[name] for name in FORMS_TAKEN]
    compiled = [target for name in names if (target := target_by_name(name)).compiler is not None]
    found = list(decode_costs(nn.Conv2d(3, SPEC.points, 1), (SPEC.height, SPEC.width), SPEC, forms, compiled))
    for name in names:
        own = [cost for cost in found if cost.target == name] or [profiled(form) for form in forms]
        print(f"# {name}\n{cost_table(operator_costs(own, SPEC))}\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
