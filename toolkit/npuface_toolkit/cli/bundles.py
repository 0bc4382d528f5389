"""`npuface export`, `quantize`, `compile`, `explain`: from a checkpoint to a bundle, and what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from npuface_runtime.manifest import Manifest
from npuface_toolkit.cli.console import JsonOption, Output, output, table

BundleArgument = Annotated[Path, typer.Argument(help="A bundle folder.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Where to put the result; in place without it.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (export, quantize, compile_, explain):
        app.command(command.__name__.rstrip("_"))(command)


def export(
    checkpoint: Annotated[str, typer.Argument(help="A .safetensors checkpoint, or a shipped student: student-68.")],
    target: Annotated[str, typer.Option("--target", help="What to deploy to; see npuface targets.")],
    out: Annotated[Path, typer.Option("--out", help="The bundle folder to write.")],
    decode: Annotated[str | None, typer.Option("--decode", help="Force a decode form.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Export a checkpoint to a float bundle for a target.

    Example: npuface export student-68 --target litert-cpu --out bundle
    """
    from npuface_export.export import export_bundle
    from npuface_export.target import target_by_name
    from npuface_toolkit.student_network import student_network

    with output(as_json, "exporting") as result:
        chosen = target_by_name(target)
        manifest = export_bundle(student_network(checkpoint), chosen, out, form=decode)
        _show(result, out, manifest)


def quantize(
    bundle: BundleArgument,
    calibration: Annotated[Path, typer.Option("--calibration", help="A folder of pictures with faces.")],
    out: OutOption = None,
    decode_type: Annotated[
        str | None,
        typer.Option("--decode-type", help="int16, float32 or int8; the target's safe choice without it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Quantize a bundle to INT8, measure the coordinate shift, and compile it where the target has a compiler.

    Example: npuface quantize bundle --calibration pictures/
    """
    from npuface_export.converters.converter import Recipe
    from npuface_export.quantize import quantize_bundle

    with output(as_json, "quantizing") as result:
        recipe = Recipe(decode=decode_type) if decode_type else None
        manifest = quantize_bundle(bundle, calibration, out, recipe=recipe)
        _show(result, out or bundle, manifest)


def compile_(bundle: BundleArgument, out: OutOption = None, as_json: JsonOption = False) -> None:
    """Compile an INT8 bundle again with its target's own compiler.

    Example: npuface compile bundle
    """
    from npuface_export.compile import compile_bundle

    with output(as_json, "compiling") as result:
        _show(result, out or bundle, compile_bundle(bundle, out))


def explain(bundle: BundleArgument, as_json: JsonOption = False) -> None:
    """Show what a bundle holds: decode form and the refused ones, placement, parity, coordinate shift, estimate.

    Example: npuface explain bundle
    """
    with output(as_json, "reading") as result:
        manifest = Manifest.load(bundle)
        for role in manifest.files:
            manifest.file(bundle, role)
        _show(result, bundle, manifest)


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
        },
        "placement": manifest.placement,
        "parity": manifest.parity,
        "coordinate_shift": shift and {**shift, "faces": int(shift["faces"])},
        "estimate": manifest.estimate,
        "recipe": manifest.recipe,
    }


def _show(result: Output, bundle: Path, manifest: Manifest) -> None:
    data = bundle_json(bundle, manifest)
    result.result(data, _bundle_table(bundle, manifest))


def _bundle_table(bundle: Path, manifest: Manifest) -> Table:
    decode, placement, shift = manifest.decode, manifest.placement, manifest.coordinate_shift
    rows: list[tuple[str, str]] = [
        ("network", f"{manifest.name}, {manifest.landmarks.points} points ({manifest.landmarks.scheme})"),
        ("target", manifest.target),
        ("precision", manifest.precision),
        ("decode", f"{decode.form}, {decode.bytes_out} bytes leave the network"),
    ]
    rows += [("refused", f"{refusal['form']}: {refusal['reason']}") for refusal in decode.refused]
    if placement:
        names = ", ".join(placement["cpu_operators"]) or "none"
        rows.append(("placement", f"{placement['npu']} operators on the NPU, {placement['cpu']} on the CPU ({names})"))
    if manifest.parity:
        rows.append(("float parity", f"{manifest.parity['max_abs']:.1e} heatmap px at most, against torch"))
    if shift:
        text = f"mean {shift['mean_px']:.4f}, max {shift['max_px']:.4f} heatmap px on {shift['faces']:.0f} faces"
        rows.append(("INT8 shift", text))
    if manifest.estimate:
        rows += [
            (f"estimate: {key}", f"{value:.3f}" if isinstance(value, float) else str(value))
            for key, value in manifest.estimate.items()
        ]
    rows += [(f"file: {role}", f"{info.path} ({info.bytes / 1024:.0f} KiB)") for role, info in manifest.files.items()]
    return table(str(bundle), ("what", "value"), rows)
