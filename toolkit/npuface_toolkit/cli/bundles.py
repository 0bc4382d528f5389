"""`npuface compile`, `explain`, and how every command shows a bundle."""

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
    for command in (compile_, explain):
        app.command(command.__name__.rstrip("_"))(command)


def compile_(bundle: BundleArgument, out: OutOption = None, as_json: JsonOption = False) -> None:
    """Compile an INT8 bundle again with its target's own compiler.

    Example: npuface compile bundle
    """
    from npuface_export.compile import compile_bundle

    with output(as_json, "compiling") as result:
        show(result, out or bundle, compile_bundle(bundle, out))


def explain(bundle: BundleArgument, as_json: JsonOption = False) -> None:
    """Show what a bundle holds: decode form and the refused ones, placement, parity, coordinate shift, estimate.

    Example: npuface explain bundle
    """
    with output(as_json, "reading") as result:
        manifest = Manifest.load(bundle)
        for role in manifest.files:
            manifest.file(bundle, role)
        show(result, bundle, manifest)


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


def show(result: Output, bundle: Path, manifest: Manifest) -> None:
    """Make a bundle the result of a command."""
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
