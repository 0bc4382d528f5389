"""`npuface export`: a network -> a float bundle for a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.bundles import show
from npuface_toolkit.cli.console import JsonOption, output


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(export)


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
        show(result, out, manifest)
