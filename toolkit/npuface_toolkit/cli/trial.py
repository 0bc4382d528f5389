"""`npuface trial`: train several configurations over several seeds and compare them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.console import JsonOption, output, table
from npuface_toolkit.cli.training import DataOption, StartOption, TeacherOption


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(trial)


def trial(
    question: Annotated[
        str, typer.Argument(help="A TOML file, or a shipped trial: decode, distillation, fine-tune, teacher.")
    ],
    data: DataOption,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of checkpoints and results; a killed trial goes on there.")
    ],
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also", help="Faces that no training sees, measured with and without the face contour. Repeatable."
        ),
    ] = None,
    start: StartOption = None,
    teacher: TeacherOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train every variant of a trial with every seed, and print NME in float and in INT8 on people never seen.

    Example: npuface trial decode --data points:labels.csv:pictures --out trial/
    """
    import logging

    from npuface_benchmarks.files import write_all
    from npuface_toolkit.training_log import EpochReport
    from npuface_toolkit.trial import run_trial
    from npuface_toolkit.trial_file import find_trial, read_trial
    from npuface_toolkit.trial_measure import nme_by_set, trial_faces
    from npuface_toolkit.trial_table import trial_columns, trial_json, trial_markdown, trial_rows

    logger = logging.getLogger("npuface.trial")

    def report(name: str, epoch: EpochReport) -> None:
        logger.info("%s: epoch %d/%d, loss %.3f, %.0f s", name, epoch.epoch, epoch.epochs, epoch.loss, epoch.seconds)

    with output(as_json, "training") as result:
        asked = read_trial(find_trial(question), teacher, start)
        share = next(iter(asked.variants.values())).config.held_out
        faces = trial_faces(data, also or [], share)
        results = run_trial(asked, data, faces, out, report)
        beside = {called: nme_by_set(checkpoint, faces) for called, checkpoint in asked.beside.items()}
        text = trial_json(results, beside)
        table_page = trial_markdown(results, beside, asked.taught)
        write_all(out, {"results.json": text.encode(), "table.md": table_page.encode()})
        title = f"trial {question}, {len(asked.seeds)} seeds, NME in %"
        shown = table(title, trial_columns(results, asked.taught), trial_rows(results, beside, asked.taught))
        result.result({"out": str(out), **json.loads(text)}, shown)
