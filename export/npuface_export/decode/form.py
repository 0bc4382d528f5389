"""What a decode form is: the last step from heatmaps to coordinates, as an NPU can run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from npuface_export.decode.grid import refuses_grid

_FEW_CELLS = 16
"""A side of heatmaps that every form decodes."""


@dataclass(frozen=True)
class HeatmapSpec:
    """What a decode is built for.

    Attributes:
        points: number of heatmaps K.
        height, width: cells of a heatmap.
        beta: inverse temperature of the softmax, for forms that have one.
        threshold: share of a map's maximum below which cells do not count, for forms that have one.
        sigma: standard deviation in cells of the peaks that the network was trained to draw.
        kind: what enters the decode: "heatmaps"; "heatmap-offset", K heatmaps followed by K x-offsets and K y-offsets
            in cells; or "simcc", a classifier of columns and one of rows for each landmark.
    """

    points: int
    height: int
    width: int
    beta: float = 20.0
    threshold: float = 0.3
    sigma: float = 1.5
    kind: str = "heatmaps"

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Of the one tensor that enters the decode."""
        k, h, w = self.points, self.height, self.width
        return {"heatmaps": (1, k, h, w), "heatmap-offset": (1, 3 * k, h, w), "simcc": (1, k, 1, w + h)}[self.kind]


@dataclass(frozen=True)
class Need:
    """One operator that a form asks of the NPU.

    Attributes:
        operator: its ONNX name.
        kernel: (height, width), where it has one.
        stride: (down, across), where it has one.
        work: output elements times the cells of the kernel, for one face: multiply-adds, or elements touched.
    """

    operator: str
    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    work: int = 0


@dataclass(frozen=True)
class DecodeForm:
    """One way to compute coordinates from heatmaps.

    Attributes:
        name: what users call it.
        summary: one line for tables.
        needs: the operators that the target must have, for given heatmaps; their work decides the order in which forms
            are tried for a target (see choose.py).
        points: the same computation in torch: what enters the decode [N, C, H, W] (HeatmapSpec.input_shape) ->
            points [N, K, 2] in cells, differentiable and without the precautions that INT8 needs.
        training_points: what stands for `points` in training, where that has no gradient on some maps.
        build: makes the torch module that computes what leaves the NPU from what enters the decode. Modules named
            `moments` inside it carry the values that INT8 cannot hold (see moments_of); recipes give those 16 bits.
        finish: name of the host half in npuface_runtime.finish.
        finish_params: the numbers that the host half needs.
        kinds: what it decodes, of HeatmapSpec.kind.
        grid: for given heatmaps, (down, across): the cells that its exact INT8 grids span (see grid.py); None for a
            form that weighs with none.
    """

    name: str
    summary: str
    needs: Callable[[HeatmapSpec], tuple[Need, ...]]
    points: Callable[[Tensor, HeatmapSpec], Tensor]
    build: Callable[[HeatmapSpec], nn.Module]
    finish: str
    finish_params: Callable[[HeatmapSpec], Mapping[str, float]] = field(default=lambda spec: {})
    training_points: Callable[[Tensor, HeatmapSpec], Tensor] | None = None
    kinds: tuple[str, ...] = ("heatmaps",)
    grid: Callable[[HeatmapSpec], tuple[int, int]] | None = None

    @property
    def has_moments(self) -> bool:
        """Whether it has values that 16 bits keep and 8 do not."""
        with torch.device("meta"):
            return bool(moments_of(self.build(HeatmapSpec(1, _FEW_CELLS, _FEW_CELLS, kind=self.kinds[0]))))

    def refuses(self, spec: HeatmapSpec) -> str | None:
        """Why it cannot decode such heatmaps, whatever the target; None if it can."""
        if spec.kind not in self.kinds:
            return f"it decodes {' and '.join(self.kinds)}, not {spec.kind}"
        reasons = (refuses_grid(cells) for cells in (self.grid(spec) if self.grid else ()))
        return next((reason for reason in reasons if reason), None)


def moments_of(module: nn.Module) -> list[nn.Module]:
    """The parts of a form's module (see DecodeForm.build) that 16 bits are for."""
    return [part for name, part in module.named_modules() if name.rpartition(".")[2] == "moments"]


def expected_cell(weights: Tensor) -> Tensor:
    """Non-negative weights [N, K, H, W] -> their centre of mass [N, K, 2] (x, y) in cells."""
    across = torch.arange(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    down = torch.arange(weights.shape[-2], dtype=weights.dtype, device=weights.device)
    over_rows, over_columns = weights.sum(dim=-2), weights.sum(dim=-1)
    mass = over_rows.sum(dim=-1).clamp_min(1e-6)
    return torch.stack([(over_rows * across).sum(dim=-1), (over_columns * down).sum(dim=-1)], dim=-1) / mass[..., None]
