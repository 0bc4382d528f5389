"""`npuface label`: labels for pictures without labels, to distil from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.console import JsonOption, output, table


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(label)


def label(
    pictures: Annotated[Path, typer.Option("--pictures", help="Folder of pictures, with folders in it.")],
    by: Annotated[
        list[str],
        typer.Option(
            "--by",
            help="Who labels: NAME[:TRUST[:POINTS]], a peer's TOML or a checkpoint, its trust from 0 to 1, and those "
            "of its points that become labels. Repeatable; a later one fills in the points that are missing.",
        ),
    ],
    detector: Annotated[str, typer.Option("--detector", help="cascade, or a YuNet or UltraFace ONNX file.")],
    out: Annotated[Path, typer.Option("--out", help="The CSV to write, for --data weighted:FILE:PICTURES_DIR.")],
    least: Annotated[float, typer.Option("--least", min=8, help="Pixels across the smallest face to label.")] = 24,
    as_json: JsonOption = False,
) -> None:
    """Label the faces in pictures with networks that know faces, to distil a student from.

    Example: npuface label --pictures folder/ --by osf.toml:1:17-67 --by student-68:0.3 --detector cascade --out l.csv
    """
    from npuface_benchmarks.files import check_writable, write_all
    from npuface_runtime.detectors import open_detector
    from npuface_toolkit.label_folder import label_folder, open_sources

    with output(as_json, "labelling") as result:
        check_writable(out)
        sources, scheme = open_sources(by)
        csv, facts = label_folder(pictures, sources, scheme, open_detector(detector), least)
        write_all(out.parent, {out.name: csv.encode()})
        shown = table(str(out), tuple(facts), [tuple(facts.values())])
        result.result({"file": str(out)} | facts, shown)
