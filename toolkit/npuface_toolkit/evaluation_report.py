"""An evaluation as files: the cumulative error curve, the worst faces, one HTML page and its figures as JSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from numpy.typing import NDArray

from npuface_benchmarks.files import write_all
from npuface_runtime.geometry import box_of_points, crop_of_box
from npuface_toolkit.augment import warp
from npuface_toolkit.evaluate import Evaluation
from npuface_toolkit.faces import Face, read_picture
from npuface_toolkit.metrics import FAILURE
from npuface_toolkit.schemes import Scheme

_SIDE, _COLUMNS, _ROWS, _MARGIN = 220, 6, 2, 1.5
_TRUE, _FOUND = (0, 230, 0), (255, 220, 0)


def evaluation_json(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """The figures: those of the model where there is one, else a list under `models`, and the points that count."""
    rows = [_row(evaluation) for evaluation in evaluations]
    if len(rows) == 1:
        return {key: value for key, value in rows[0].items() if key != "model"}
    return {"models": rows, "points": rows[0]["points"]}


def _row(evaluation: Evaluation) -> dict[str, Any]:
    subsets = {name: asdict(accuracy) for name, accuracy in evaluation.subsets.items()}
    return {"model": evaluation.prediction.model} | asdict(evaluation.overall) | {"subsets": subsets}


def write_evaluation(evaluations: Sequence[Evaluation], faces: Sequence[Face], scheme: Scheme, folder: Path) -> None:
    """Write report.html, which needs no other file, report.json, curve.png and a worst-N.png of every model.

    Raises:
        UserError: the folder cannot be written.
    """
    curve = error_curve({evaluation.prediction.model: evaluation.errors for evaluation in evaluations})
    sheets = [worst_faces(evaluation, faces) for evaluation in evaluations]
    first = evaluations[0]
    environment = Environment(
        loader=PackageLoader("npuface_toolkit"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("evaluation.html.j2").render(
        faces=len(faces),
        points=first.overall.points,
        total=scheme.points,
        scheme=scheme.name,
        models=[_row(evaluation) for evaluation in evaluations],
        subsets={name: accuracy.faces for name, accuracy in first.subsets.items()},
        curve=_base64(curve),
        sheets=[_base64(sheet) for sheet in sheets],
    )
    contents = {"curve.png": curve} | {f"worst-{number}.png": sheet for number, sheet in enumerate(sheets, start=1)}
    contents |= {
        "report.html": page.encode(),
        "report.json": json.dumps(evaluation_json(evaluations), indent=2).encode(),
    }
    write_all(folder, contents)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def error_curve(errors: Mapping[str, NDArray[np.float64]]) -> bytes:
    """The cumulative error distribution of each model, up to 10 %, as a PNG: share of the faces against their NME."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, values in errors.items():
        steps = np.concatenate([[0], np.sort(values), [max(FAILURE, values.max())]])
        shares = np.concatenate([np.arange(len(values) + 1), [len(values)]]) / len(values)
        axes.step(steps * 100, shares, where="post", label=name)
    axes.set(xlim=(0, FAILURE * 100), ylim=(0, 1), xlabel="NME of a face, %", ylabel="share of the faces below it")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()


def worst_faces(evaluation: Evaluation, faces: Sequence[Face]) -> bytes:
    """A contact sheet of the faces with the largest errors, the worst first, as a PNG."""
    order = np.argsort(-evaluation.errors, kind="stable")[: _COLUMNS * _ROWS]
    tiles = [_tile(evaluation, faces[i], int(i)) for i in order]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % _COLUMNS)
    rows = [np.concatenate(tiles[start : start + _COLUMNS], axis=1) for start in range(0, len(tiles), _COLUMNS)]
    _, png = cv2.imencode(".png", np.concatenate(rows, axis=0)[..., ::-1])
    return png.tobytes()


def _tile(evaluation: Evaluation, face: Face, index: int) -> NDArray[np.uint8]:
    crop = crop_of_box(box_of_points(face.points), _MARGIN)
    tile = warp(read_picture(face.picture), crop, _SIDE)
    known = list(evaluation.prediction.known)
    for points, colour in ((face.points[known], _TRUE), (evaluation.prediction.points[index][known], _FOUND)):
        for x, y in np.clip(crop.to_input(points, (_SIDE, _SIDE)), -_SIDE, 2 * _SIDE):
            cv2.circle(tile, (round(float(x)), round(float(y))), 1, colour, -1, cv2.LINE_AA)
    text = f"{evaluation.errors[index]:.1%}"
    cv2.putText(tile, text, (6, _SIDE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(tile, text, (6, _SIDE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    return tile
