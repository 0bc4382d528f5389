"""The landmark network that enters the export: whoever trained it, this is all the export needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from npuface_export.decode import HeatmapSpec


@dataclass(frozen=True)
class Network:
    """A heatmap network in torch and how it is to be used.

    Attributes:
        name: what the bundle is called, such as student-68.
        module: in evaluation mode; float32 RGB [1, 3, S, S], normalised -> heatmaps [1, K, S / stride, S / stride].
        input_size: side S of the square input in pixels.
        stride: input pixels a heatmap cell.
        points: landmarks K.
        scheme: name of the landmark scheme.
        mean, std: per channel, in units of 0..255; the network takes (rgb - mean) / std.
        margin: side of the crop over the longer side of the box around the landmarks.
        threshold, beta, sigma: parameters of the decode forms (see HeatmapSpec).
    """

    name: str
    module: nn.Module
    input_size: int
    stride: int
    points: int
    scheme: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    margin: float
    threshold: float
    beta: float
    sigma: float

    @property
    def spec(self) -> HeatmapSpec:
        """What its decode is built for."""
        cells = self.input_size // self.stride
        return HeatmapSpec(self.points, cells, cells, self.beta, self.threshold, self.sigma)
