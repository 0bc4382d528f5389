"""`npuface run`, `bench` and `demo`: bundles at work on pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from npuface_toolkit.cli.console import JsonOption, measured_table, output, table

OnOption = Annotated[str, typer.Option("--on", help="host, or device for the NPU that the bundle was made for.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(run)
    app.command()(demo)


def run(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    picture: Annotated[Path, typer.Argument(help="A picture.")],
    draw: Annotated[Path | None, typer.Option("--draw", help="Write the annotated picture here.")] = None,
    detector: Annotated[
        str, typer.Option("--detector", help="cascade, a detector's bundle, or a YuNet or UltraFace ONNX file.")
    ] = "cascade",
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of the engine.")] = 1,
    passes: Annotated[
        int, typer.Option("--passes", min=1, help="How often the network sees a face; the second crop is its own.")
    ] = 1,
    on: OnOption = "host",
    as_json: JsonOption = False,
) -> None:
    """Find the faces of a picture and their landmarks, in frame pixels.

    Example: npuface run bundle picture.jpg --draw out.png --json
    """
    from npuface_benchmarks.draw import draw_faces, write_picture
    from npuface_runtime import FaceAligner
    from npuface_toolkit.faces import read_picture

    with output(as_json, "running") as result:
        frame = read_picture(picture)
        with FaceAligner(bundle, detector=detector, threads=threads, passes=passes, on=on) as aligner:
            found = aligner.align(frame)
            description = aligner.description
        if draw:
            write_picture(draw, draw_faces(frame, found))
        data = {"faces": [_face_json(face) for face in found], "engine": description}
        rows = [(i, *(round(float(v)) for v in face.box), f"{face.score:.2f}") for i, face in enumerate(found)]
        shown = table(str(picture), ("face", "x0", "y0", "x1", "y1", "score"), rows)
        result.result(data, description, shown if rows else f"no face found in {picture}")


def demo(
    out: Annotated[Path, typer.Option("--out", help="The folder for bundles, report and picture.")] = Path("demo-out"),
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="A folder of pictures with faces; variations of one photograph without it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Do the main job: export and quantize the shipped student for every target, run it, measure, report.

    Example: npuface demo --out demo-out
    """
    from npuface_benchmarks.bench import bench as measure
    from npuface_benchmarks.report import write_report
    from npuface_benchmarks.tables import answer_tables
    from npuface_export.photograph import photograph
    from npuface_toolkit.demo import make_bundles

    with output(as_json, "demonstrating") as result:
        bundles = make_bundles(out / "bundles", calibration)
        frame = photograph()
        record = measure(bundles, picture=frame)
        write_report(record, out, frame)
        shown = f"picture: {out}/face.png, report: {out}/report.html"
        result.result(record.as_json(), *map(measured_table, answer_tables(record)), shown)


def _face_json(face: Any) -> dict[str, Any]:
    return {
        "box": [round(float(v), 3) for v in face.box],
        "score": round(float(face.score), 4),
        "landmarks": [[round(float(x), 3), round(float(y), 3)] for x, y in face.landmarks],
    }
