"""`npuface augment`: look at what training shows the network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.console import JsonOption, output, table
from npuface_toolkit.cli.training import DataOption


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(augment)


def augment(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="The PNG to write.")],
    config: Annotated[str, typer.Option("--config", help="A TOML file, or a shipped configuration.")] = "student-68",
    count: Annotated[int, typer.Option("--count", min=1, max=400, help="How many samples.")] = 24,
    columns: Annotated[int, typer.Option("--columns", min=1, max=20, help="How many in a row.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Chooses the faces.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Draw a contact sheet of augmented faces: points, boundary heatmaps and landmark heatmaps.

    Example: npuface augment --data points:labels.csv:pictures --out sheet.png
    """
    import cv2

    from npuface_benchmarks.files import check_writable, write_all
    from npuface_runtime.errors import UserError
    from npuface_toolkit.augment_sheet import augment_sheet
    from npuface_toolkit.training_config import read_config
    from npuface_toolkit.training_run import find_config, read_sources

    with output(as_json, "drawing") as result:
        if out.suffix.lower() != ".png":
            raise UserError(f"cannot write {out}", "what is drawn is a PNG", "give a name that ends in .png")
        check_writable(out)
        read = read_config(find_config(config))
        faces, scheme = read_sources(data)
        sheet = augment_sheet(faces, scheme, read, count, columns, seed)
        _, png = cv2.imencode(".png", sheet[..., ::-1])
        write_all(out.parent, {out.name: png.tobytes()})
        shown = table("contact sheet", ("file", "samples", "faces"), [(out, count, len(faces))])
        result.result({"file": str(out), "samples": count, "faces": len(faces)}, shown)
