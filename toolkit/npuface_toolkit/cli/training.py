"""`npuface train` and `evaluate`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.console import JsonOption, output, table

DataOption = Annotated[
    list[str], typer.Option("--data", help="FORMAT:FILE[:PICTURES_DIR] with FORMAT wflw or points (CSV). Repeatable.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(train)
    app.command()(evaluate)


def train(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write; its model card lies beside it.")],
    config: Annotated[str, typer.Option("--config", help="A TOML file, or a shipped configuration.")] = "student-68",
    start: Annotated[
        str | None, typer.Option("--start", help="A checkpoint whose weights to start from; the configuration's else.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a student. A killed run goes on where it was when the same command runs again.

    Example: npuface train --data points:labels.csv:pictures --out student.safetensors
    """
    import logging

    from npuface_toolkit.training_config import read_config
    from npuface_toolkit.training_log import EpochReport
    from npuface_toolkit.training_run import find_config, train_student

    logger = logging.getLogger("npuface.train")

    def report(epoch: EpochReport) -> None:
        left = (epoch.epochs - epoch.epoch) * epoch.seconds / 60
        held_out = f", held-out NME {epoch.held_out.nme:.2%}" if epoch.held_out else ""
        where = f"stage {epoch.stage + 1}, epoch {epoch.epoch}/{epoch.epochs}"
        logger.info("%s: loss %.3f%s, %.0f min left in the stage", where, epoch.loss, held_out, left)

    with output(as_json, "training") as result:
        command = shlex.join(["npuface", *(out.name if word == str(out) else word for word in sys.argv[1:])])
        read = read_config(find_config(config))
        chosen = read if start is None else replace(read, start=start)
        accuracy = train_student(data, chosen, out, command, report)
        if accuracy is None:  # not the first of several processes: it says nothing
            raise typer.Exit
        shown = table(str(out), ("held-out NME", "failure rate", "AUC", "faces"), [_row(asdict(accuracy))])
        result.result({"checkpoint": str(out)} | asdict(accuracy), shown)


def evaluate(
    model: Annotated[str, typer.Argument(help="A checkpoint, a shipped student, or a bundle folder.")],
    data: DataOption,
    held_out: Annotated[
        float | None, typer.Option("--held-out", help="Only identities that training with this share never saw.")
    ] = None,
    without_jaw: Annotated[bool, typer.Option("--without-jaw", help="Leave out the face contour.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure NME (by the outer eye corners), failure rate and AUC at 10 %.

    Example: npuface evaluate student-68 --data points:labels.csv:pictures --held-out 0.2
    """
    from npuface_runtime.errors import UserError
    from npuface_toolkit.evaluate import evaluate as measure
    from npuface_toolkit.faces import split_by_identity
    from npuface_toolkit.training_run import read_sources

    with output(as_json, "evaluating") as result:
        faces, scheme = read_sources(data)
        if held_out is not None:
            if not 0 < held_out <= 1:
                raise UserError(f"cannot hold out {held_out}", "it is a share of identities", "give 0.2 for instance")
            faces = split_by_identity(faces, held_out)[1]
        if not faces:
            raise UserError("nothing to evaluate", "no face is left", "give more data or a larger --held-out")
        points = tuple(p for p in range(scheme.points) if p not in scheme.jaw) if without_jaw else None
        accuracy = measure(model, faces, scheme, points)
        shown = table(model, ("NME", "failure rate", "AUC", "faces"), [_row(asdict(accuracy))])
        result.result(asdict(accuracy), shown)


def _row(accuracy: dict[str, float]) -> tuple[str, str, str, int]:
    return (
        f"{accuracy['nme']:.2%}",
        f"{accuracy['failure_rate']:.2%}",
        f"{accuracy['auc']:.3f}",
        int(accuracy["faces"]),
    )
