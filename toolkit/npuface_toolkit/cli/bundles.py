"""`npuface compile`, `explain`, and how every command shows a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from npuface_runtime.bundle_manifest import BundleManifest, bundle_format
from npuface_runtime.manifest import Manifest
from npuface_runtime.renderer_manifest import RendererManifest
from npuface_toolkit.cli import detector_bundles, renderer_bundles
from npuface_toolkit.cli.console import CheckFailedError, JsonOption, Output, output, table
from npuface_toolkit.cli.placement_rows import estimate_rows, file_rows, placement_rows

BundleArgument = Annotated[Path, typer.Argument(help="A bundle folder.")]
AllowCpuOption = Annotated[
    list[str] | None, typer.Option("--allow-cpu", help="An operator that may run on the CPU; repeat it for more.")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Where to put the result; in place without it.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (compile_, explain):
        app.command(command.__name__.rstrip("_"))(command)


def compile_(
    bundle: BundleArgument,
    out: OutOption = None,
    target: Annotated[str | None, typer.Option("--target", help="Another chip that takes the same model file.")] = None,
    allow_cpu: AllowCpuOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compile a bundle again with its target's own compiler. Exit code 1 when an operator lands on the CPU.

    Example: npuface compile bundle --target ethos-u55-256 --out bundle-u55-256
    """
    from npuface_export.compile import compile_bundle
    from npuface_export.target import target_by_name

    with output(as_json, "compiling") as result:
        other = None if target is None else target_by_name(target)
        manifest = compile_bundle(bundle, out, target=other)
        show(result, out or bundle, manifest)
    check_placement(manifest, allow_cpu)


def check_placement(manifest: BundleManifest, allow_cpu: Sequence[str] | None) -> None:
    """Fail the command where an NPU bundle leaves operators to the CPU that are not allowed there, or where its NPU
    computes something else than its model. The bundle is written.
    """
    from npuface_export.compile import cpu_refusals, oracle_refusal

    wrong = oracle_refusal(manifest) if isinstance(manifest, Manifest) else None
    if wrong:
        raise CheckFailedError(wrong)
    refusals = cpu_refusals(manifest, allow_cpu or ())
    if refusals:
        raise CheckFailedError(f"{'; '.join(refusals)}. Allow an operator there with --allow-cpu OPERATOR")


def explain(
    bundle: BundleArgument,
    operators: Annotated[bool, typer.Option("--operators", help="Show where every single operator runs.")] = False,
    graph: Annotated[
        Path | None, typer.Option("--graph", help="Draw the graph, coloured by where it runs: FILE.png or FILE.svg.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a bundle holds: the choice of the decode form, placement, parity, coordinate shift, estimate.

    Example: npuface explain bundle --graph graph.png
    """
    from npuface_toolkit.cli import placement_table

    with output(as_json, "reading") as result:
        beside = {"operators": operators or None, "graph": graph}
        if bundle_format(bundle) == RendererManifest.FORMAT:
            renderer_bundles.explain(result, bundle, beside)
            return
        if detector_bundles.is_detector_bundle(bundle):
            detector_bundles.explain(result, bundle, beside)
            return
        manifest = Manifest.load(bundle)
        for role in manifest.files:
            manifest.file(bundle, role)
        forms = _forms(manifest)
        data = bundle_json(bundle, manifest) | {"forms": forms}
        rows = [(form["form"], _cost(form["cost"]), form["verdict"]) for form in forms]
        costs = table("Decode forms, the cheapest first", ("form", "cost, about us a face", "verdict"), rows)
        shown = [_bundle_table(bundle, manifest), costs]
        if operators or graph or placement_table.has_operators(manifest):
            placement = placement_table.placement_of(manifest, bundle)
            shown.append(placement_table.kinds_table(placement))
            if operators:
                shown.append(placement_table.operators_table(placement))
            if graph:
                placement_table.write_picture(graph, placement, manifest, bundle)
                data["graph"] = str(graph)
        result.result(data, *shown)


def _forms(manifest: Manifest) -> list[dict[str, Any]]:
    """Every decode form for such a network on the bundle's target, the cheapest first, and what became of it.

    Those that cannot decode maps of this size stand last and have no cost.
    """
    from npuface_export.choose import by_cost, cost_of, unfit
    from npuface_export.decode import HeatmapSpec
    from npuface_export.target import target_by_name

    target, maps, decode = target_by_name(manifest.target), manifest.heatmap, manifest.decode
    spec = HeatmapSpec(manifest.landmarks.points, maps.height, maps.width, kind=maps.kind)
    verdicts = {refusal["form"]: f"refused: {refusal['reason']}" for refusal in decode.refused}
    verdicts[decode.form] = f"taken, but {decode.warning}" if decode.warning else "taken"
    fitting = [
        {
            "form": form.name,
            "cost": cost_of(form, target, spec),
            "verdict": verdicts.get(form.name) or target.refuses_form(form, spec) or "costs more",
        }
        for form in by_cost(target, spec)
    ]
    return fitting + [
        {"form": one["form"], "cost": None, "verdict": f"refused: {one['reason']}"} for one in unfit(spec)
    ]


def _cost(nanoseconds: float | None) -> str:
    return "-" if nanoseconds is None else f"{nanoseconds / 1000:,.0f}"


def bundle_json(bundle: Path, manifest: Manifest) -> dict[str, Any]:
    """The object that these commands print with --json."""
    decode, shift = manifest.decode, manifest.coordinate_shift
    return {
        "bundle": str(bundle),
        "target": manifest.target,
        "precision": manifest.precision,
        "decode": {
            "form": decode.form,
            "refused": [dict(refusal) for refusal in decode.refused],
            "bytes_out": decode.bytes_out,
            "warning": decode.warning,
            "moved": decode.moved,
        },
        "placement": manifest.placement,
        "parity": manifest.parity,
        "coordinate_shift": shift and {**shift, "faces": int(shift["faces"])},
        "estimate": manifest.estimate,
        "recipe": manifest.recipe,
        "origin": manifest.origin,
    }


def show(result: Output, bundle: Path, manifest: Manifest) -> None:
    """Make a bundle the result of a command."""
    data = bundle_json(bundle, manifest)
    result.result(data, _bundle_table(bundle, manifest))


def _bundle_table(bundle: Path, manifest: Manifest) -> Table:
    decode, placement = manifest.decode, manifest.placement
    rows: list[tuple[str, str]] = [
        ("network", f"{manifest.name}, {manifest.landmarks.points} points ({manifest.landmarks.scheme})"),
        ("target", manifest.target),
        ("precision", manifest.precision),
        ("decode", f"{decode.form}, {decode.bytes_out} bytes leave the network"),
    ]
    rows += _origin_rows(manifest.origin)
    if decode.warning:
        rows.append(("warning", decode.warning))
    rows += [("refused", f"{refusal['form']}: {refusal['reason']}") for refusal in decode.refused]
    rows += _decode_rows(decode.moved) + placement_rows(placement)
    if manifest.recipe and manifest.recipe.get("left_in_float"):
        rows.append(("left in float", ", ".join(map(str, manifest.recipe["left_in_float"]))))
    if manifest.parity:
        rows.append(("float parity", f"{manifest.parity['max_abs']:.1e} heatmap px at most, against torch"))
    rows += _shift_rows(manifest)
    rows += estimate_rows(manifest.estimate) + file_rows(manifest)
    return table(str(bundle), ("what", "value"), rows)


def _shift_rows(manifest: Manifest) -> list[tuple[str, str]]:
    """How far quantization moves the landmarks, who says so, and whether that contradicts the bundle's own model."""
    from npuface_export.compile import oracle_refusal

    shift, wrong = manifest.coordinate_shift, oracle_refusal(manifest)
    if not shift:
        return []
    text = f"mean {shift['mean_px']:.4f}, max {shift['max_px']:.4f} heatmap px on {shift['faces']:.0f} faces"
    rows = [("INT8 shift", text)]
    if "oracle" in shift:
        rows.append(("by", f"{shift['oracle']}, on {shift.get('pictures', 'pictures')}"))
    return rows + ([("warning", wrong)] if wrong else [])


def _origin_rows(origin: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Where a network that was not trained here comes from, and how its decode was found."""
    if origin is None:
        return []
    own = origin.get("own_decode", "not recorded")
    fit = origin.get("fit")
    rows = [("origin", f"{origin['file']}, head {origin['head']}, own decode: {own}")]
    return rows + (_fit_rows(fit) if fit else [])


def _fit_rows(fit: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was found on pictures, what it does better than what was there before, and what of it is in use."""
    rows, reference = [], fit.get("reference", "what it was compared with")
    if "beta" in fit:
        off = f"{fit['error']:.3f} heatmap px from {reference}"
        text = f"{fit['beta']:.4g}: softargmax {off}, background bias {fit['bias']:.3f}"
        before = f"before {fit['beta_before']:.4g}: {fit['error_before']:.3f}, {fit['bias_before']:.3f}"
        rows.append(("beta", f"{text} ({before})"))
    if "given_beta" in fit:
        rows.append(("beta in use", f"{fit['given_beta']:.4g}, as given"))
    text = f"{fit['threshold']:.2f}: {fit['threshold_error']:.3f} heatmap px from {reference}, {fit['faces']} faces"
    if "threshold_before" in fit:
        text += f" (before {fit['threshold_before']:.2f}: {fit['threshold_error_before']:.3f})"
    rows.append(("threshold", text))
    if "threshold_in_use" in fit:
        rows.append(("threshold in use", _threshold_in_use(fit)))
    return rows + ([("warning", fit["warning"])] if "warning" in fit else [])


def _threshold_in_use(fit: Mapping[str, Any]) -> str:
    text = f"{fit['threshold_in_use']:.2f}"
    if fit["threshold_in_use"] == fit["threshold"]:
        return text
    if fit["threshold_error"] < fit["threshold_error_before"]:
        return f"{text}, as before: {fit['reference']} is not the model's own decode"
    return f"{text}, as before: {fit['threshold']:.2f} is no better"


def _decode_rows(moved: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if not moved:
        return []
    reference = moved.get("reference") or "what forms are compared with"
    if moved["float_px"] is None:
        text = f"not measured in float: other forms are compared with this one, {reference}"
    else:
        text = f"{moved['float_px']:.3f} heatmap px against {reference}"
    if moved["int8_px"] is not None:
        text += f"; {moved['int8_px']:.3f} heatmap px by 8 bits (simulated)"
    return [("decode moves landmarks", f"{text}; budget {moved['budget_px']:g}")]
