"""`npuface detector`: label, train and evaluate a face detector of one's own."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.console import JsonOption, output, table

detector = typer.Typer(
    help="A face detector of your own: boxes for pictures, training, accuracy.\n\n"
    "Example: npuface detector train --data boxes.csv:pictures --out detector.safetensors",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(detector, name="detector")


@detector.command()
def label(
    pictures: Annotated[Path, typer.Option("--pictures", help="Folder of pictures, with folders in it.")],
    by: Annotated[str, typer.Option("--by", help="The detector that labels: a YuNet or UltraFace ONNX file.")],
    out: Annotated[Path, typer.Option("--out", help="The CSV to write, for --data FILE:PICTURES_DIR.")],
    least: Annotated[float, typer.Option("--least", min=4, help="Pixels across the smallest face to label.")] = 8,
    min_score: Annotated[float, typer.Option("--min-score", help="Below it a face is left out.")] = 0.35,
    as_json: JsonOption = False,
) -> None:
    """Find the faces in pictures with a detector that is there, to train one of your own.

    Example: npuface detector label --pictures folder/ --by yunet.onnx --out boxes.csv
    """
    from npuface_benchmarks.files import check_writable, write_all
    from npuface_runtime.detectors import open_detector
    from npuface_toolkit.detector.label_boxes import label_boxes

    with output(as_json, "labelling") as result:
        check_writable(out)
        csv, facts = label_boxes(pictures, open_detector(by, min_score=min_score), least)
        write_all(out.parent, {out.name: csv.encode()})
        result.result({"file": str(out)} | facts, table(str(out), tuple(facts), [tuple(facts.values())]))


@detector.command()
def train(
    data: Annotated[list[str], typer.Option("--data", help="FILE.csv:PICTURES_DIR with boxes. Repeatable.")],
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write; its model card lies beside it.")],
    config: Annotated[str, typer.Option("--config", help="A TOML file, or a shipped one.")] = "detector-320",
    as_json: JsonOption = False,
) -> None:
    """Train a detector. A killed run goes on where it was when the same command runs again.

    Example: npuface detector train --data boxes.csv:pictures --out detector.safetensors
    """
    from npuface_toolkit.detector.config import read_detector_config
    from npuface_toolkit.detector.training_run import train_detector
    from npuface_toolkit.training_run import find_config

    with output(as_json, "training") as result:
        command = shlex.join(["npuface", *(out.name if word == str(out) else word for word in sys.argv[1:])])
        found = asdict(train_detector(data, read_detector_config(find_config(config)), out, command))
        result.result({"checkpoint": str(out)} | found, table(str(out), tuple(found), [tuple(found.values())]))


@detector.command()
def evaluate(
    detectors: Annotated[
        list[str],
        typer.Argument(
            help="Checkpoints, detectors' bundles, cascade, YuNet or UltraFace ONNX files; on the same pictures."
        ),
    ],
    data: Annotated[list[str], typer.Option("--data", help="FORMAT:FILE[:PICTURES_DIR], as for npuface evaluate.")],
    held_out: Annotated[
        float | None, typer.Option("--held-out", help="Only the identities that training with this share held out.")
    ] = None,
    all_labelled: Annotated[
        bool, typer.Option("--all-labelled", help="Every face in the pictures is labelled: count false alarms.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure detectors by labelled landmarks: a face is found where the boxes share half of their union.

    Example: npuface detector evaluate detector-320 cascade yunet.onnx --data wflw:list.txt
    """
    from npuface_toolkit.detector.boxes import boxed_pictures, split_pictures
    from npuface_toolkit.detector.evaluate import as_cells, evaluate_detectors
    from npuface_toolkit.faces import check_by_people, check_share
    from npuface_toolkit.training_run import read_sources

    with output(as_json, "detecting") as result:
        faces, _ = read_sources(data)
        check_by_people(faces, f"cannot evaluate on {', '.join(data)}")
        pictures = boxed_pictures(faces)
        if held_out is not None:
            check_share(held_out)
            pictures = split_pictures(pictures, held_out)[1]
        rows = evaluate_detectors(detectors, pictures, all_labelled)
        cells = [as_cells(row) for row in rows]
        shown = table(
            "Detectors on the same pictures, one thread", tuple(cells[0]), [tuple(row.values()) for row in cells]
        )
        result.result({"detectors": [asdict(row) for row in rows]}, shown)
