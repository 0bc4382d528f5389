"""A picture of a bundle's graph: every operator, coloured by where it runs, the decode on another background."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle

from npuface_benchmarks.files import write_all
from npuface_benchmarks.graph_layout import PITCH_X, PITCH_Y, Layout, lay_out
from npuface_export.compilers import PlacedOperator, Placement
from npuface_export.compilers.placement import CPU, DECODE, NPU
from npuface_runtime.errors import UserError

SUFFIXES = (".png", ".svg")
COLOURS = {NPU: "#0072b2", CPU: "#e69f00"}
"""Of Okabe and Ito's palette, which the colour-blind tell apart: https://jfly.uni-koeln.de/color/"""
_INK = {NPU: "#ffffff", CPU: "#000000"}
_BACKGROUND, _LINE, _TEXT = "#e2e8f0", "#475569", "#0f172a"
_BOX = (1.12, 0.29)
"""Inches that a box is wide and high."""
_EDGE, _NARROWEST, _ASPECT = 0.25, 9.5, 1.45
"""Inches around the graph and for what is above it; the width of a graph over its height that is aimed at."""
_TITLE_SIZE, _TEXT_SIZE, _LABEL_SIZE, _LINE_HEIGHT = 14, 10, 7, 0.19
_ONE_LINE = 16
_ARROW = {"arrowstyle": "-|>", "color": _LINE, "linewidth": 0.8, "mutation_scale": 6, "shrinkA": 0, "shrinkB": 0}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "npuface",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "text.parse_math": False,
}


def write_graph(path: Path, placement: Placement, title: str, kind: str) -> None:
    """Draw a graph into a file.

    Args:
        path: its suffix, .png or .svg, says which.
        placement: of at least one operator.
        title: which bundle and target.
        kind: what kind of statement the placement is: who says so, and that nothing was measured.

    Raises:
        UserError: the suffix is another, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(
            f"cannot draw {path}", f"{suffix or 'no suffix'} is no format for it", f"name it {' or '.join(SUFFIXES)}"
        )
    with matplotlib.rc_context(_STYLE):
        figure = graph_figure(placement, title, kind)
        stream = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if suffix == ".svg" else {"Software": None}
        figure.savefig(stream, format=suffix[1:], dpi=130, metadata=metadata)
    write_all(path.parent, {path.name: stream.getvalue()})


def graph_figure(placement: Placement, title: str, kind: str) -> Figure:
    """The figure of a graph (see write_graph); the box of operator 7 has the gid `operator-7`."""
    layout = lay_out(placement.operators, _ASPECT * _BOX[1] / _BOX[0])
    width = max(layout.width * _BOX[0], _NARROWEST) + 2 * _EDGE
    titles = _wrap(title, width, _TITLE_SIZE)
    head = [*titles, *_wrap(kind, width, _TEXT_SIZE)]
    reasons = [line for text in _reasons(placement) for line in _wrap(text, width, _TEXT_SIZE)]
    above = (len(head) + 2.4) * _LINE_HEIGHT * 1.25 + _EDGE
    below = (len(reasons) + bool(reasons)) * _LINE_HEIGHT + _EDGE
    height = above + layout.height * _BOX[1] + below
    figure = Figure(figsize=(width, height))
    left, graph = _EDGE / width, (layout.width * _BOX[0] / width, layout.height * _BOX[1] / height)
    axes = figure.add_axes((left, below / height, *graph))
    axes.set(xlim=(0, layout.width), ylim=(layout.height, 0))
    axes.set_axis_off()
    _draw(axes, placement.operators, layout)
    top, step = 1 - _EDGE / height, _LINE_HEIGHT * 1.25 / height
    for number, line in enumerate(head):
        size, weight, lower = (_TITLE_SIZE, "bold", 0.0) if number < len(titles) else (_TEXT_SIZE, "normal", 0.25)
        figure.text(left, top - (number + lower) * step, line, size=size, weight=weight, color=_TEXT, va="top")
    _legend(figure, placement, (left, top - (len(head) + 0.5) * step))
    text = "\n".join(reasons)
    figure.text(left, (below - _LINE_HEIGHT) / height, text, size=_TEXT_SIZE, color=_TEXT, va="top", linespacing=1.3)
    return figure


def _draw(axes: Any, operators: Sequence[PlacedOperator], layout: Layout) -> None:
    for operator, (x, y) in zip(operators, layout.boxes, strict=True):
        if operator.part == DECODE:
            corner = (x - PITCH_X / 2, y - PITCH_Y / 2)
            axes.add_patch(Rectangle(corner, PITCH_X, PITCH_Y, color=_BACKGROUND, linewidth=0.5, zorder=0))
    for line in layout.lines:
        xs, ys = zip(*line.points[:-1], strict=True)
        axes.plot(xs, ys, color=_LINE, linewidth=0.8, zorder=1, solid_joinstyle="round")
        axes.annotate("", line.points[-1], line.points[-2], arrowprops=_ARROW, zorder=1)
    _draw_ends(axes, operators, layout)
    for index, (operator, (x, y)) in enumerate(zip(operators, layout.boxes, strict=True)):
        box = FancyBboxPatch(
            (x - 0.5, y - 0.5),
            1,
            1,
            boxstyle="round,pad=0,rounding_size=0.12",
            mutation_aspect=_BOX[0] / _BOX[1],
            facecolor=COLOURS[operator.device],
            edgecolor=_TEXT if operator.device == CPU else COLOURS[NPU],
            linewidth=1.5 if operator.device == CPU else 0.5,
            zorder=2,
            gid=f"operator-{index}",
        )
        axes.add_patch(box)
        label, colour = _label(index, operator.operator), _INK[operator.device]
        axes.text(x, y, label, size=_LABEL_SIZE, color=colour, ha="center", va="center", linespacing=0.95, zorder=3)


def _draw_ends(axes: Any, operators: Sequence[PlacedOperator], layout: Layout) -> None:
    """Where the picture enters, and where the results leave."""
    read = {i for operator in operators for i in operator.reads}
    far = 0.5 + 0.7 * (PITCH_Y - 1)
    for index, (operator, (x, y)) in enumerate(zip(operators, layout.boxes, strict=True)):
        if not operator.reads:
            axes.annotate("", (x, y - 0.5), (x, y - far), arrowprops=_ARROW, zorder=1)
            axes.text(x + 0.06, y - far + 0.1, "in", size=_LABEL_SIZE, color=_TEXT, va="center")
        if index not in read:
            axes.annotate("", (x, y + far), (x, y + 0.5), arrowprops=_ARROW, zorder=1)
            axes.text(x + 0.06, y + far - 0.2, "out", size=_LABEL_SIZE, color=_TEXT, va="center")


def _label(index: int, kind: str) -> str:
    """The operator's number and kind, on two lines where one is too short."""
    text = f"{index} {kind}"
    if len(text) <= _ONE_LINE:
        return text
    breaks = [i + 1 for i, c in enumerate(text[:-1]) if c in "_ "]
    middle = min(breaks, key=lambda i: abs(i - len(text) / 2))
    return "\n".join(
        part if len(part) <= _ONE_LINE else f"{part[:_ONE_LINE]}…" for part in (text[:middle], text[middle:])
    )


def _legend(figure: Figure, placement: Placement, corner: tuple[float, float]) -> None:
    handles = [
        Patch(facecolor=COLOURS[NPU], label=f"{placement.npu} operators on the NPU"),
        Patch(facecolor=COLOURS[CPU], edgecolor=_TEXT, linewidth=1.5, label=f"{placement.cpu} on the CPU"),
        Patch(
            facecolor=_BACKGROUND,
            label=f"decode, which makes coordinates of heatmaps: {placement.decode_npu} on the NPU, "
            f"{placement.decode_cpu} on the CPU",
        ),
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=corner,
        ncols=len(handles),
        frameon=False,
        fontsize=_TEXT_SIZE,
        borderpad=0,
        borderaxespad=0,
        columnspacing=1.5,
    )


def _reasons(placement: Placement) -> list[str]:
    """What is on the CPU, once for each reason."""
    found: dict[str, list[str]] = {}
    for group in placement.cpu_operators:
        found.setdefault(group.reason or "no reason given", []).append(f"{group.count} {group.operator}")
    return [f"On the CPU: {', '.join(operators)}. {reason}" for reason, operators in found.items()]


def _wrap(text: str, inches: float, size: float) -> list[str]:
    """Lines of a text that is drawn that wide: a character is about 0.57 of its size wide, which is in 1/72 inch."""
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return textwrap.wrap(printable, max(20, int((inches - 2 * _EDGE) * 72 / (0.57 * size))))
