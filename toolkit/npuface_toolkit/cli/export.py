"""`npuface export`: a network -> a float bundle for a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from npuface_runtime.errors import UserError
from npuface_toolkit.cli import detector_bundles, renderer_bundles
from npuface_toolkit.cli.bundles import show
from npuface_toolkit.cli.console import JsonOption, output

_ONNX = "Of an ONNX model"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(export)


def _option(name: str, text: str) -> typer.models.OptionInfo:
    """An option for models that were not made here."""
    option: typer.models.OptionInfo = typer.Option(name, help=text, rich_help_panel=_ONNX)
    return option


def export(
    model: Annotated[
        str,
        typer.Argument(help="A checkpoint, a shipped one (student-68, detector-320, face3d-heads), or an .onnx model."),
    ],
    target: Annotated[str, typer.Option("--target", help="What to deploy to; see npuface targets.")],
    out: Annotated[Path, typer.Option("--out", help="The bundle folder to write.")],
    decode: Annotated[str | None, typer.Option("--decode", help="Force a decode form.")] = None,
    max_decode_error: Annotated[
        float | None, typer.Option("--max-decode-error", min=0.0, help="Heatmap px by which a form may move landmarks.")
    ] = None,
    uint8_input: Annotated[
        bool, typer.Option("--uint8-input", help="Let it take pixels from 0 to 255: normalising is its first layer.")
    ] = False,
    part: Annotated[str | None, typer.Option("--part", help="Of a 3D face model: renderer.")] = None,
    codes: Annotated[
        Path | None, typer.Option("--codes", help="The head baked into a renderer; without it, codes enter.")
    ] = None,
    heatmaps: Annotated[str | None, _option("--heatmaps", "Their tensor: NAME or NAME[0:68].")] = None,
    offsets: Annotated[str | None, _option("--offsets", "Tensors of x- and y-offsets: NAME,NAME.")] = None,
    offset_code: Annotated[str | None, _option("--offset-code", "cells:FACTOR or logit:FACTOR.")] = None,
    beta: Annotated[str | None, _option("--beta", "Of its softmax: a number, or auto with --calibration.")] = None,
    grid: Annotated[str | None, _option("--grid", "half-pixel, corner or align-corners.")] = None,
    calibration: Annotated[
        Path | None, _option("--calibration", "Pictures with faces, to find beta and threshold on.")
    ] = None,
    mean: Annotated[str | None, _option("--mean", "R,G,B in 0..255; 127.5 without it.")] = None,
    std: Annotated[str | None, _option("--std", "R,G,B in 0..255; 127.5 without it.")] = None,
    margin: Annotated[float | None, _option("--margin", "Side of the crop over that of the landmarks' box.")] = None,
    scheme: Annotated[str | None, _option("--scheme", "Name of its landmark scheme.")] = None,
    name: Annotated[str | None, _option("--name", "What the bundle calls it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Export a checkpoint (landmark network, detector, 3D face model) or an ONNX model with heatmaps to a float bundle.

    Example: npuface export student-68 --target litert-cpu --out bundle
    """
    from npuface_export.byte_input import with_byte_input
    from npuface_export.choose import BUDGET
    from npuface_export.export import export_bundle
    from npuface_export.target import target_by_name
    from npuface_toolkit.face3d.renderer_network import is_renderer_checkpoint
    from npuface_toolkit.foreign_options import read_options
    from npuface_toolkit.student_network import student_network

    about: dict[str, Any] = {
        "heatmaps": heatmaps,
        "offsets": offsets,
        "offset-code": offset_code,
        "beta": beta,
        "grid": grid,
        "calibration": calibration,
        "mean": mean,
        "std": std,
        "margin": margin,
        "scheme": scheme,
        "name": name,
    }
    with output(as_json, "exporting") as result:
        chosen = target_by_name(target)
        landmarks_only: dict[str, Any] = {"decode": decode, "max-decode-error": max_decode_error}
        if is_renderer_checkpoint(model):
            asked = about | landmarks_only | {"uint8-input": uint8_input or None}
            detector_bundles.refuse(f"cannot export {model}", asked, "a renderer of faces")
            renderer_bundles.show(result, out, renderer_bundles.export(model, part, chosen, out, codes))
            return
        if part or codes:
            raise UserError(
                f"cannot export {model} like that", "--part and --codes are for 3D models", "leave them out"
            )
        if detector_bundles.is_detector_checkpoint(model):
            detector_bundles.refuse(f"cannot export {model}", about | landmarks_only)
            detector_bundles.show(result, out, detector_bundles.export(model, chosen, out, uint8_input))
            return
        options = read_options(model, about)
        if options is None:
            network = student_network(model)
        else:
            from npuface_export.foreign.network import foreign_network

            network = foreign_network(Path(model), options)
        network = with_byte_input(network) if uint8_input else network
        budget = BUDGET if max_decode_error is None else max_decode_error
        show(result, out, export_bundle(network, chosen, out, form=decode, budget=budget))
