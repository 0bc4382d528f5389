"""The plots of a report, as SVG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from npuface_benchmarks.record import Record, Spread, VariantTiming
from npuface_benchmarks.tables import npu_results, number, subject_name
from npuface_benchmarks.timing import AFTER_NETWORK

_COLOURS = {
    "prepare": "#cbd5e1",
    "network": "#64748b",
    "transfer": "#f59e0b",
    "decode": "#dc2626",
    "map": "#7c3aed",
}
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "npuface",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#94a3b8",
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "xtick.color": "#475569",
    "ytick.color": "#0f172a",
    "text.parse_math": False,
}
"""Text stays text, drawn by the reader's own fonts; a `$` in a bundle's name is no formula."""
_BAR, _LONGEST_LABEL = 0.34, 48


def stage_plot(record: Record) -> bytes | None:
    """Median milliseconds of every stage, both ways, as stacked bars; None where nothing was timed here.

    On the left the whole way, on the right what is left to do when the network has run.
    """
    bars: list[tuple[str, VariantTiming]] = []
    for result in record.results:
        for timing in result.timings:
            name = f"{subject_name(result)}, {timing.threads} thr."
            bars += [(f"{name}: coordinates", timing.coordinates), ("heatmaps", timing.heatmaps)]
    if not bars:
        return None
    with matplotlib.rc_context(dict(_STYLE)):
        figure = Figure(figsize=(11, 1.1 + _BAR * len(bars)), layout="constrained")
        whole, after = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        _stack(whole, [times.stages for _, times in bars])
        _stack(after, [{stage: times.stages[stage] for stage in AFTER_NETWORK} for _, times in bars])
        whole.set_title("End to end, ms")
        after.set_title("After the network, ms")
        _label(whole, [label for label, _ in bars])
        after.tick_params(axis="y", length=0)
        handles, names = whole.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
        return _svg(figure)


def npu_plot(record: Record) -> bytes | None:
    """The compiler's estimate of network and decode for every NPU bundle that has one; None where there is none."""
    bars = [
        (f"{subject_name(result)}: {result.decode}", result.estimate.body_ms, result.estimate.decode_ms)
        for result in npu_results(record)
        if result.estimate and result.estimate.body_ms is not None and result.estimate.decode_ms is not None
    ]
    if not bars:
        return None
    with matplotlib.rc_context(dict(_STYLE)):
        figure = Figure(figsize=(11, 1.0 + 2 * _BAR * len(bars)), layout="constrained")
        axes = figure.subplots()
        for row, (_, body, decode) in enumerate(bars):
            _estimate_bar(axes, row, body, decode)
        axes.set_title("Compiler estimate of one inference, ms")
        axes.margins(x=0.12)
        _label(axes, [label for label, *_ in bars])
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles[:2], names[:2], loc="outside lower center", ncols=2, frameon=False)
        return _svg(figure)


def _estimate_bar(axes: Any, row: int, body: float, decode: float) -> None:
    axes.barh(row, body, 0.6, color=_COLOURS["network"], label="network")
    axes.barh(row, decode, 0.6, left=body, color=_COLOURS["decode"], label="decode")
    text, end = f"{number(body)} {number(decode, sign='+')}", (max(body, body + decode), row)
    axes.annotate(text, end, (5, 0), textcoords="offset points", va="center", color="#0f172a")


def _stack(axes: Any, rows: Sequence[Mapping[str, Spread]]) -> None:
    left = [0.0] * len(rows)
    for stage in rows[0]:
        widths = [stages[stage].median_ms for stages in rows]
        axes.barh(range(len(rows)), widths, 0.72, left=left, color=_COLOURS[stage], label=stage)
        left = [start + width for start, width in zip(left, widths, strict=True)]


def _label(axes: Any, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), [_printable(label) for label in labels])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()


def _printable(label: str) -> str:
    """A label that XML can hold and the plot has room for."""
    text = "".join(c if c.isprintable() else "?" for c in label)
    return text if len(text) <= _LONGEST_LABEL else f"…{text[1 - _LONGEST_LABEL :]}"


def _svg(figure: Figure) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's fonts have what matplotlib's lacks
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return out.getvalue()
