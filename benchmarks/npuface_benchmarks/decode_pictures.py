"""The pictures of docs/decode.md: what each family of forms weighs, and where float and 8 bits find the point."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from npuface_benchmarks.decode_scenes import Scene, scene_maps
from npuface_benchmarks.files import write_all
from npuface_export.decode import FORMS, DecodeForm, HeatmapSpec
from npuface_export.decode.finished import finished_cells
from npuface_export.decode.marginal_threshold import BACKGROUND
from npuface_export.decode.simulate import eight_bits, int8_output

SHOWN = ("seed", "per-map-maximum", "relative-threshold", "threshold-marginals", "marginal-threshold", "marginals")
"""A form for every kind of weights, and `marginals` for its window."""
_SPEC = HeatmapSpec(1, 48, 48, beta=10.0)
_STEPS = 255
_STYLE = {"font.size": 8, "axes.titlesize": 8, "axes.titlelocation": "left", "svg.hashsalt": "npuface"}
Plane = NDArray[np.floating]


def pictures() -> dict[str, bytes]:
    """PNG files by name: a peak at 0.8 of its height with a second one at 0.4, as each form sees them."""
    maps, truth = scene_maps(Scene("", 0.8, 0.4, 1.5), _SPEC, faces=1, seed=36)
    return {f"decode-{name}.png": _picture(FORMS[name], maps, truth[0, 0]) for name in SHOWN}


def _picture(form: DecodeForm, maps: Tensor, truth: Plane) -> bytes:
    weights = _weights(form.name, maps)
    with torch.no_grad():
        outputs = (form.build(_SPEC)(maps), int8_output(form, _SPEC, maps))
        exact, rounded = (finished_cells(form, _SPEC, output.numpy())[0][0, 0] for output in outputs)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.5), layout="constrained")
        heat, weighed, sums = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
        heat.imshow(maps[0, 0].numpy(), cmap="viridis")
        heat.set_title("heatmap")
        weighed.imshow(
            np.maximum(eight_bits(weights)[0, 0].numpy(), 1e-6), cmap="magma", norm=LogNorm(1 / _STEPS / 4, 1)
        )
        weighed.set_title("what is weighed, 8 bits, log scale")
        for axes in (heat, weighed):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.plot(*truth, "o", markersize=9, fillstyle="none", color="#22c55e", label="true peak")
            axes.plot(*exact, "+", markersize=9, color="#f8fafc", label="found in float")
            axes.plot(*rounded, "x", markersize=6, color="#ef4444", label="found in INT8")
        heat.legend(fontsize=6, facecolor="#334155", labelcolor="white", loc="lower left")
        _draw_sums(sums, form, weights[0, 0].sum(dim=0).numpy(), truth, exact, rounded)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return stream.getvalue()


def _draw_sums(
    axes: matplotlib.axes.Axes, form: DecodeForm, over_rows: Plane, truth: Plane, exact: Plane, rounded: Plane
) -> None:
    """The marginal over x, and the three points on it."""
    columns = np.arange(len(over_rows))
    axes.fill_between(columns, over_rows, step="mid", color="#94a3b8")
    for x, colour, how in ((truth[0], "#22c55e", "-"), (exact[0], "#0f172a", "--"), (rounded[0], "#ef4444", ":")):
        axes.axvline(float(x), color=colour, linestyle=how, linewidth=1.2)
    if form.name == "marginals":
        window = form.finish_params(_SPEC)["window"]
        axes.axvspan(over_rows.argmax() - window - 0.5, over_rows.argmax() + window + 0.5, color="#bfdbfe", zorder=0)
    if form.name == "marginal-threshold":
        axes.axhline(_SPEC.threshold * float(over_rows.max()), color="#7c3aed", linewidth=0.8)
    axes.set_title("sum over rows, and x")
    axes.set_yticks([])


def _weights(name: str, maps: Tensor) -> Tensor:
    """What a form weighs the cells with, over the largest."""
    peak = maps.amax(dim=(2, 3), keepdim=True)
    if name in ("seed", "per-map-maximum"):
        return torch.exp(_SPEC.beta * (maps - peak))
    level = {"threshold-marginals": _SPEC.threshold, "marginal-threshold": BACKGROUND}
    weights = torch.relu(maps - level.get(name, _SPEC.threshold * peak))
    return weights / weights.max()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m npuface_benchmarks.decode_pictures FOLDER")
    write_all(Path(sys.argv[1]), pictures())
