"""`npuface run`, `bench` and `demo`: bundles at work on pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from npuface_toolkit.cli.console import JsonOption, output, table


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(run)
    app.command()(bench)
    app.command()(demo)


def run(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    picture: Annotated[Path, typer.Argument(help="A picture.")],
    draw: Annotated[Path | None, typer.Option("--draw", help="Write the annotated picture here.")] = None,
    detector: Annotated[
        str, typer.Option("--detector", help="cascade, or the path of a YuNet or UltraFace ONNX file.")
    ] = "cascade",
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of the engine.")] = 1,
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
        with FaceAligner(bundle, detector=detector, threads=threads) as aligner:
            found = aligner.align(frame)
            description = aligner.description
        if draw:
            write_picture(draw, draw_faces(frame, found))
        data = {"faces": [_face_json(face) for face in found], "engine": description}
        rows = [(i, *(round(float(v)) for v in face.box), f"{face.score:.2f}") for i, face in enumerate(found)]
        shown = table(f"{picture} on {description}", ("face", "x0", "y0", "x1", "y1", "score"), rows)
        result.result(data, shown if rows else f"no face found in {picture}")


def _face_json(face: Any) -> dict[str, Any]:
    return {
        "box": [round(float(v), 3) for v in face.box],
        "score": round(float(face.score), 4),
        "landmarks": [[round(float(x), 3), round(float(y), 3)] for x, y in face.landmarks],
    }
