"""`npuface train`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.console import JsonOption, output, table

StartOption = Annotated[
    str | None, typer.Option("--start", help="A checkpoint whose weights to start from; the configuration's else.")
]
TeacherOption = Annotated[
    str | None,
    typer.Option("--teacher", help="A checkpoint to distil from, as the configuration's [distillation] says."),
]
DataOption = Annotated[
    list[str],
    typer.Option("--data", help="FORMAT:FILE[:PICTURES_DIR] with FORMAT points, weighted (CSVs) or wflw. Repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(train)


def train(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write; its model card lies beside it.")],
    config: Annotated[str, typer.Option("--config", help="A TOML file, or a shipped configuration.")] = "student-68",
    start: StartOption = None,
    teacher: TeacherOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a student. A killed run goes on where it was when the same command runs again.

    Example: npuface train --data points:labels.csv:pictures --out student.safetensors
    """
    import logging

    from npuface_runtime.errors import UserError
    from npuface_toolkit.training_config import read_config, taught
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
        chosen = taught(read if start is None else replace(read, start=start), teacher)
        if teacher and not chosen.distillation.active:
            why = "every term of [distillation] in the configuration is 0"
            raise UserError(f"{teacher} would teach nothing", why, "leave --teacher out, or change the configuration")
        accuracy = train_student(data, chosen, out, command, report)
        if accuracy is None:  # not the first of several processes: it says nothing
            raise typer.Exit
        shown = table(str(out), ("held-out NME", "failure rate", "AUC", "faces"), [_row(asdict(accuracy))])
        result.result({"checkpoint": str(out)} | asdict(accuracy), shown)


def _row(accuracy: dict[str, float]) -> tuple[str, str, str, int]:
    return (
        f"{accuracy['nme']:.2%}",
        f"{accuracy['failure_rate']:.2%}",
        f"{accuracy['auc']:.3f}",
        int(accuracy["faces"]),
    )
