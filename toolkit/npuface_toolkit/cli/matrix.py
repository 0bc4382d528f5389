"""`npuface matrix`: every network on every target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from npuface_toolkit.cli.console import JsonOption, output, table

if TYPE_CHECKING:
    from npuface_export.network import Network


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(matrix)


def matrix(
    calibration: Annotated[Path, typer.Option("--calibration", help="A folder of pictures with faces.")],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="A checkpoint, or a TOML file that describes an ONNX model. Repeatable."),
    ] = None,
    target: Annotated[list[str] | None, typer.Option("--target", help="Only this target. Repeatable.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write matrix.json and matrix.md into this folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Export, quantize, compile and emulate networks for every target, and show what became of each.

    Where --out has a record already, what is measured now takes the place of the same networks and targets in it.

    Example: npuface matrix --model student-68 --calibration pictures/ --out docs
    """
    import json
    import tempfile

    from npuface_benchmarks.files import check_writable, write_all
    from npuface_benchmarks.matrix import Cell, Matrix, measure_matrix, merged
    from npuface_benchmarks.matrix_page import (
        FILE_NAME,
        matrix_bytes,
        matrix_columns,
        matrix_page,
        matrix_rows,
        read_matrix,
    )
    from npuface_export.target import target_by_name, targets
    from npuface_toolkit.decode_maps import measured_network

    with output(as_json, "measuring") as result, tempfile.TemporaryDirectory(prefix="npuface-") as folder:
        networks = [measured_network(name) for name in model or ["student-68"]]
        chosen = [target_by_name(name) for name in target] if target else list(targets().values())
        cells: list[Cell] = []
        tools: dict[str, str] = {}
        about = {network.name: _about(network) for network in networks}
        before = Matrix((), {}, {})
        if out is not None:
            check_writable(out / FILE_NAME)
            before = read_matrix(out / FILE_NAME) if (out / FILE_NAME).exists() else before
        measured = before
        for cell, versions in measure_matrix(networks, chosen, calibration, Path(folder)):
            cells.append(cell)
            tools |= versions
            measured = merged(before, Matrix(tuple(cells), about, tools))
            if out is not None:  # after each, as all together may take hours
                write_all(out, {FILE_NAME: matrix_bytes(measured), "matrix.md": matrix_page(measured).encode()})
        rows = [(cell.model, *row) for cell, row in zip(cells, matrix_rows(cells), strict=True)]
        shown = table("What runs where", ("model", *matrix_columns()), rows)
        result.result(json.loads(matrix_bytes(measured)), shown)


def _about(network: Network) -> str:
    """A network in a line."""
    (height, width), maps = network.input_shape, network.heatmap_shape
    sizes = [weight.numel() for weight in network.module.parameters()]
    parameters = sum(sizes or (weight.numel() for weight in network.module.buffers()))  # an ONNX model's are buffers
    shapes = f"{height} x {width} input, maps of {maps[0]} x {maps[1]} cells"
    return f"{network.points} points, {shapes}, {parameters:,} parameters"
