"""`npuface c-header`: a bundle -> a header for firmware."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.console import JsonOption, output


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(c_header)


def c_header(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    out: Annotated[Path, typer.Option("--out", help="The header to write, such as npuface_model.h.")],
    as_json: JsonOption = False,
) -> None:
    """Write a C header: the bundle's constants and the host half of its decode, for firmware that runs the model.

    Example: npuface c-header bundle --out npuface_model.h
    """
    from npuface_benchmarks.files import write_all
    from npuface_export.c_header import c_header as header_of
    from npuface_runtime.manifest import Manifest

    with output(as_json, "writing") as result:
        manifest = Manifest.load(bundle)
        write_all(out.parent, {out.name: header_of(manifest).encode()})
        data = {"header": str(out), "decode": manifest.decode.form, "points": manifest.landmarks.points}
        result.result(data, f"{out}: {manifest.landmarks.points} points, decode {manifest.decode.form}")
