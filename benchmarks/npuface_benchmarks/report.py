"""A benchmark as files for people and machines: JSON, Markdown, one HTML page, the annotated picture."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from npuface_benchmarks.draw import draw_face, encode_picture
from npuface_benchmarks.facts import machine_facts, opening_facts
from npuface_benchmarks.files import write_all
from npuface_benchmarks.markdown import markdown_report
from npuface_benchmarks.peer_table import peer_table, verdicts
from npuface_benchmarks.plots import npu_plot, stage_plot
from npuface_benchmarks.record import Record
from npuface_benchmarks.tables import answer_tables, chief_result, detail_tables
from npuface_runtime.geometry import crop_of_box
from npuface_runtime.sampling import sample_crop

PICTURE = "face.png"
_TEMPLATE = "report.html.j2"
_CLOSE_UP_SHAPE, _CLOSE_UP_MARGIN = (640, 640), 1.6
_MAX_SIDE = 1280
"""Of the picture inside the page; the file beside it has all its pixels."""


def write_report(record: Record, folder: str | Path, frame: NDArray[np.uint8]) -> Path:
    """Write report.json, report.md, report.html and face.png into a folder.

    Args:
        record: of the benchmark.
        folder: made where it is missing; other files in it stay.
        frame: RGB uint8 [H, W, 3], the picture that was measured on; the landmarks are drawn from the record.

    Returns:
        The path of the HTML page, which needs no other file.

    Raises:
        UserError: the folder cannot be written; what was there stays as it was.
    """
    out = Path(folder)
    contents = {
        PICTURE: encode_picture(_annotated(record, frame), ".png"),
        "report.json": record.to_text().encode(),
        "report.md": _utf8(markdown_report(record, PICTURE)),
        "report.html": _utf8(html_report(record, frame)),
    }
    write_all(out, contents)
    return out / "report.html"


def html_report(record: Record, frame: NDArray[np.uint8]) -> str:
    """One page that loads nothing; see write_report."""
    environment = Environment(
        loader=PackageLoader("npuface_benchmarks"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pictures = (_shrunk(_annotated(record, frame)), _close_up(record, frame))
    plots = {"NPU": npu_plot(record), "CPU": stage_plot(record)}
    beside = peer_table(record)
    return environment.get_template(_TEMPLATE).render(
        record=record,
        networks=", ".join(dict.fromkeys(result.name for result in record.results)),
        facts=opening_facts(record),
        verdicts=verdicts(record),
        answers=[*answer_tables(record), *([beside] if beside else [])],
        plots={name: _data_uri("image/svg+xml", plot) for name, plot in plots.items() if plot},
        chief=chief_result(record),
        pictures=[_data_uri("image/jpeg", encode_picture(picture, ".jpg")) for picture in pictures],
        details=detail_tables(record),
        machine=machine_facts(record),
    )


def _utf8(text: str) -> bytes:
    """Text as a file; a folder's name may hold bytes that are no text, and those become question marks."""
    return text.encode(errors="replace")


def _annotated(record: Record, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of the frame with the box and the landmarks of the bundle that the report speaks of first."""
    picture = np.ascontiguousarray(frame).copy()
    draw_face(picture, record.box, np.asarray(chief_result(record).landmarks, np.float32))
    return picture


def _close_up(record: Record, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The face cut out and enlarged, with its landmarks."""
    crop = crop_of_box(np.asarray(record.box, np.float32), _CLOSE_UP_MARGIN)
    picture = np.asarray(np.rint(sample_crop(frame, crop, _CLOSE_UP_SHAPE)), np.uint8)
    landmarks = crop.to_input(np.asarray(chief_result(record).landmarks, np.float32), _CLOSE_UP_SHAPE)
    corners = crop.to_input(np.asarray(record.box, np.float32).reshape(2, 2), _CLOSE_UP_SHAPE)
    draw_face(picture, tuple(float(v) for v in corners.reshape(-1)), landmarks)
    return picture


def _shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = _MAX_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
