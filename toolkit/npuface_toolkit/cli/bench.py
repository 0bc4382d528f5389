"""`npuface bench`: what bundles cost here, beside other people's networks, and against an earlier run."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from npuface_runtime.errors import UserError
from npuface_toolkit.cli.console import CheckFailedError, JsonOption, measured_table, output

if TYPE_CHECKING:
    from npuface_benchmarks.record import Accuracy, Record
    from npuface_toolkit.faces import Face
    from npuface_toolkit.schemes import Scheme


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(bench)


def bench(
    bundles: Annotated[list[Path], typer.Argument(help="Bundle folders.")],
    report: Annotated[Path, typer.Option("--report", help="The folder for report.json, report.md and report.html.")],
    picture: Annotated[
        Path | None, typer.Option("--picture", help="A picture with a face; without it, the demo's photograph.")
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option("--threads", min=1, help="Repeatable; 1 and 2 by default.")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=3, help="Timed runs of each alternative.")] = 30,
    peer: Annotated[
        list[Path] | None,
        typer.Option(
            "--peer", help="A description of somebody else's ONNX network, timed in the same run. Repeatable."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="Labelled faces, as npuface evaluate takes them: NME of every row. Repeatable."),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option("--compare", help="The report.json of an earlier run: exit code 1 where something became worse."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="Share by which a median may grow before it is worse.")
    ] = 0.1,
    other_machine: Annotated[
        bool, typer.Option("--allow-other-machine", help="Compare with a record of another machine all the same.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure bundles: coordinates from the network against heatmaps and softargmax on the CPU.

    Example: npuface bench bundle other-bundle --report report/
    """
    from npuface_benchmarks.bench import bench as measure
    from npuface_benchmarks.compare import WORSE, check_machine, compare, comparison_table, why_no_nme
    from npuface_benchmarks.peer_table import peer_table, verdicts
    from npuface_benchmarks.report import write_report
    from npuface_benchmarks.tables import answer_tables
    from npuface_export.photograph import photograph
    from npuface_toolkit.faces import read_picture
    from npuface_toolkit.peers import Peer
    from npuface_toolkit.training_run import read_sources

    with output(as_json, "measuring") as result:
        before = None if earlier is None else _read_record(earlier)
        _check(report, peer or [], tolerance, earlier)
        if before is not None:
            check_machine(before, other_machine)
        labelled = read_sources(data) if data else None
        frame = read_picture(picture) if picture else photograph()
        openers = [partial(Peer, path) for path in peer or []]
        record = measure(bundles, picture=frame, threads=threads or (1, 2), runs=runs, peers=openers)
        if data and labelled:
            files = ", ".join(Path(source.split(":")[1]).name for source in data)
            record = replace(record, accuracy=_accuracy(record, bundles, peer or [], files, *labelled))
        write_report(record, report, frame)
        changes = [] if before is None else compare(before, record, tolerance, other_machine)
        apart = None if before is None else why_no_nme(before, record)
        beside = peer_table(record)
        shown = [
            *answer_tables(record),
            *([beside] if beside else []),
            *([comparison_table(changes)] if changes else []),
        ]
        said = {"comparison": [vars(change) for change in changes], "nme_not_compared": apart} if changes else {}
        texts = [*verdicts(record), *([apart] if apart else []), f"report: {report}/report.html"]
        result.result(record.as_json() | said, *map(measured_table, shown), *texts)
    worse = [f"{change.subject}, {change.figure}" for change in changes if change.verdict == WORSE]
    if worse:
        raise CheckFailedError(f"worse than before: {'; '.join(worse)}")


def _check(report: Path, peers: list[Path], tolerance: float, earlier: Path | None) -> None:
    """What is wrong with these shows before minutes of timing."""
    from npuface_benchmarks.files import check_writable
    from npuface_toolkit.peers import Peer

    if not math.isfinite(tolerance):
        raise UserError("cannot compare with an earlier run", f"--tolerance is {tolerance}", "give 0.1 for instance")
    check_writable(report / "report.json")
    if earlier is not None and earlier.resolve() == (report / "report.json").resolve():
        why = f"{earlier} would be written over, and with it what to compare with"
        raise UserError("cannot compare with an earlier run", why, "name another folder with --report")
    for path in peers:
        Peer(path)


def _read_record(path: Path) -> Record:
    from npuface_benchmarks.record import Record

    try:
        return Record.from_text(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}", str(error), "name the report.json of an earlier run") from None


def _accuracy(
    record: Record, bundles: list[Path], peers: list[Path], files: str, faces: list[Face], scheme: Scheme
) -> Accuracy:
    """NME of the bundles and the peers, by the names that the record gives them, over the points that all have."""
    from npuface_benchmarks.record import Accuracy
    from npuface_toolkit.evaluate import measure, predict, shared_points

    names = [*(one.label for one in record.results), *(one.name for one in record.peers)]
    predictions = [predict(str(model), faces, scheme) for model in (*bundles, *peers)]
    points = shared_points(predictions)
    nme = {
        name: measure(prediction, faces, scheme, points).overall.nme
        for name, prediction in zip(names, predictions, strict=True)
    }
    return Accuracy(files, len(faces), len(points), nme)
