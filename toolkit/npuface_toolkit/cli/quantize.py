"""`npuface quantize`: a float bundle -> an INT8 bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.bundles import BundleArgument, OutOption, show
from npuface_toolkit.cli.console import JsonOption, output


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(quantize)


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
        show(result, out or bundle, manifest)
