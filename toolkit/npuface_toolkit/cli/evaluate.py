"""`npuface evaluate`: how far off networks are on labelled faces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from npuface_toolkit.cli.console import JsonOption, output, table
from npuface_toolkit.cli.training import DataOption


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(evaluate)


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Checkpoints, shipped students, bundle folders, or peers' TOMLs."),
    ],
    data: DataOption,
    held_out: Annotated[
        float | None, typer.Option("--held-out", help="Only identities that training with this share never saw.")
    ] = None,
    without_jaw: Annotated[bool, typer.Option("--without-jaw", help="Leave out the face contour.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder for the error curve, the worst faces and an HTML page.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure NME (by the outer eye corners), failure rate and AUC at 10 %, by WFLW's attributes where there are some.

    Several models are compared on the same faces, over the points that all of them give.

    Example: npuface evaluate student-68 openseeface.toml --data wflw:list.txt --without-jaw --report report/
    """
    from npuface_runtime.errors import UserError
    from npuface_toolkit.evaluate import measure, predict, shared_points
    from npuface_toolkit.evaluation_report import evaluation_json, write_evaluation
    from npuface_toolkit.faces import check_by_people, check_share, split_by_identity
    from npuface_toolkit.training_run import read_sources

    with output(as_json, "evaluating") as result:
        faces, scheme = read_sources(data)
        if held_out is not None:
            check_share(held_out)
            faces = split_by_identity(faces, held_out)[1]
        check_by_people(faces, f"cannot evaluate on {', '.join(data)}")
        if not faces:
            raise UserError("nothing to evaluate", "no face is left", "give more data or a larger --held-out")
        predictions = [predict(model, faces, scheme) for model in models]
        points = shared_points(predictions, scheme.jaw if without_jaw else ())
        evaluations = [measure(prediction, faces, scheme, points) for prediction in predictions]
        if report is not None:
            write_evaluation(evaluations, faces, scheme, report)
        title = f"{len(faces)} faces, {len(points)} of {scheme.points} points"
        rows = [
            (one.prediction.model, part, *_figures(accuracy.nme, accuracy.failure_rate, accuracy.auc), accuracy.faces)
            for one in evaluations
            for part, accuracy in {"all": one.overall, **one.subsets}.items()
        ]
        shown = table(title, ("model", "subset", "NME", "failure rate", "AUC", "faces"), rows)
        result.result(evaluation_json(evaluations), shown)


def _figures(nme: float, failure_rate: float, auc: float) -> tuple[str, str, str]:
    return f"{nme:.2%}", f"{failure_rate:.2%}", f"{auc:.3f}"
