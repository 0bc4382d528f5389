"""The landmark network that enters the export: whoever trained it, this is all the export needs to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from npuface_export.decode import HeatmapSpec
from npuface_runtime.geometry import Shape

Pair = tuple[float, float]


@dataclass(frozen=True)
class Network:
    """A heatmap network in torch and how it is to be used.

    Attributes:
        name: what the bundle is called, such as student-68.
        module: in evaluation mode; float32 RGB [1, 3, H, W], normalised -> what the decode takes (spec.input_shape).
        input_shape: height and width of the input in pixels.
        heatmap_shape: height and width of a heatmap in cells.
        cell_scale, cell_offset: x and y; the cell c stands at c * scale + offset in pixels of the network input.
        points: landmarks K.
        scheme: name of the landmark scheme.
        mean, std: per channel, in units of 0..255; the network takes (rgb - mean) / std.
        margin: side of the crop over the longer side of the box around the landmarks.
        threshold, beta, sigma: parameters of the decode forms (see HeatmapSpec).
        kind: what the network draws (see HeatmapSpec).
        decode: the decode form that the weights were trained with, where it is one of ours.
        own_points: the model's own decode, where its file has one: what the decode takes -> points [N, K, 2] in cells.
        origin: where a network that was not trained here comes from, and how its decode was found; for the manifest.
    """

    name: str
    module: nn.Module
    input_shape: Shape
    heatmap_shape: Shape
    cell_scale: Pair
    cell_offset: Pair
    points: int
    scheme: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    margin: float
    threshold: float
    beta: float
    sigma: float
    kind: str = "heatmaps"
    decode: str | None = None
    own_points: Callable[[Tensor], Tensor] | None = None
    origin: Mapping[str, Any] | None = None

    @property
    def spec(self) -> HeatmapSpec:
        """What its decode is built for."""
        height, width = self.heatmap_shape
        return HeatmapSpec(self.points, height, width, self.beta, self.threshold, self.sigma, self.kind)
