"""`npuface track` and `soak`: faces of a video or camera, and how well they are followed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from npuface_runtime.pipeline import TrackedFrame
from npuface_runtime.tracker import TrackedFace
from npuface_toolkit.cli.console import CheckFailedError, JsonOption, output, table
from npuface_toolkit.cli.faces import OnOption

DetectorOption = Annotated[
    str, typer.Option("--detector", help="cascade, a detector's bundle, or a YuNet or UltraFace ONNX file.")
]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="Threads of the engine.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(track)
    app.command()(soak)


def track(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    source: Annotated[
        str, typer.Argument(help="A video, a folder of pictures, a camera's number, or an address such as rtsp://...")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the faces of each frame here, a JSON a line.")
    ] = None,
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Stop after that many.")] = None,
    detector: DetectorOption = "cascade",
    threads: ThreadsOption = 1,
    on: OnOption = "host",
    as_json: JsonOption = False,
) -> None:
    """Follow the faces of a video or camera; a face keeps its id.

    Example: npuface track bundle film.mp4 --out faces.jsonl
    """
    from npuface_benchmarks.files import check_writable, write_all
    from npuface_runtime import FaceTracker, Pipeline, open_source

    with output(as_json, "tracking") as result, ExitStack() as stack:
        if out:
            check_writable(out)
        opened = stack.enter_context(closing(open_source(source)))
        tracker = stack.enter_context(FaceTracker(bundle, detector, threads, beside=opened.is_live, on=on))
        pipeline = stack.enter_context(Pipeline(opened, tracker))
        lines = [_line(frame) for frame in _until_interrupted(islice(pipeline, frames))]
        if out:
            write_all(out.parent, {out.name: "".join(json.dumps(line) + "\n" for line in lines).encode()})
        ids = sorted({face["id"] for line in lines for face in line["faces"]})
        data = {"frames": len(lines), "dropped": pipeline.dropped, "ids": ids, "engine": tracker.description}
        rows = [("frames", str(len(lines))), ("dropped", str(pipeline.dropped)), ("faces", str(len(ids)))]
        result.result(data, tracker.description, table(source, ("what", "value"), rows))


def soak(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    data: Annotated[str, typer.Option("--data", help="Labelled faces, FORMAT:FILE[:PICTURES_DIR].")],
    frames: Annotated[int, typer.Option("--frames", min=500, help="Length of the film.")] = 10_000,
    portraits: Annotated[int, typer.Option("--portraits", min=1, help="How many of the faces play in it.")] = 60,
    detector: DetectorOption = "cascade",
    threads: ThreadsOption = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed is another film.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Track through a long film made of labelled faces; check ids, memory, speed and accuracy.

    Example: npuface soak bundle --data points:labels.csv:pictures --frames 10000
    """
    from npuface_benchmarks.film import film
    from npuface_benchmarks.soak import soak as measure
    from npuface_runtime import FaceAligner, FaceTracker
    from npuface_toolkit.portraits import choose_portraits

    log = logging.getLogger("npuface.soak")
    with output(as_json, "tracking") as result:
        cast, scheme = choose_portraits(data, portraits, seed)
        with FaceTracker(bundle, detector, threads) as tracker, FaceAligner(bundle, detector, threads) as aligner:
            measured = measure(
                film(cast, frames, seed),
                tracker.track,
                aligner.align,
                scheme.eye_corners,
                detector_runs=lambda: tracker.detections,
                progress=lambda done: log.info("%d of %d frames", done, frames),
            )
        rows = [(name.replace("_", " "), _shown(value)) for name, value in measured.as_json().items()]
        result.result(measured.as_json(), table(f"{bundle}, {detector}", ("what", "value"), rows))
    if failures := measured.failures():
        raise CheckFailedError("; ".join(failures))


def _until_interrupted(frames: Iterable[TrackedFrame]) -> Iterator[TrackedFrame]:
    """The frames until they end or the user presses Ctrl-C: that is how one stops a camera."""
    with suppress(KeyboardInterrupt):
        yield from frames


def _line(frame: TrackedFrame) -> dict[str, Any]:
    return {"frame": frame.index, "time": round(frame.time, 4), "faces": [_face(face) for face in frame.faces]}


def _face(face: TrackedFace) -> dict[str, Any]:
    sure = None if face.confidence is None else round(float(face.confidence.mean()), 4)
    return {
        "id": face.id,
        "box": [round(v, 3) for v in face.box],
        "confidence": sure,
        "landmarks": [[round(float(x), 3), round(float(y), 3)] for x, y in face.landmarks],
    }


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(v) for v in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
