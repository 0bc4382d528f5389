"""The manifest of a face detector's bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from npuface_runtime.bundle_manifest import BundleManifest, DeviceEngine, FileInfo, TensorInfo
from npuface_runtime.detectors.face_maps import CHANNELS, MapsInfo
from npuface_runtime.manifest_parts import MAX_SIDE, wrong_colours, wrong_files, wrong_picture, wrong_tensors
from npuface_runtime.manifest_records import wrong_placement


@dataclass(frozen=True)
class DetectorManifest(BundleManifest):
    """What a detector's bundle says about itself; see Manifest for the fields that both have.

    Attributes:
        mean, std: per channel, in units of 0..255; the network takes (rgb - mean) / std.
        maps: how its only output is read.
        min_score: from which a cell is taken for a face.
        parity: {"max_abs"}: largest difference of the output to the torch network.
        box_shift: {"mean_px", "max_px", "score", "faces", "lost", "new"}: INT8 against float, of the edges of boxes in
            pixels of the network input, of the scores, and how many faces only one of both finds; None in float.
    """

    FORMAT: ClassVar[str] = "npuface-detector"
    VERSION: ClassVar[int] = 1

    name: str
    target: str
    engine: str
    precision: str
    files: Mapping[str, FileInfo]
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    maps: MapsInfo
    min_score: float
    recipe: Mapping[str, Any] | None = None
    placement: Mapping[str, Any] | None = None
    parity: Mapping[str, float] | None = None
    box_shift: Mapping[str, float] | None = None
    estimate: Mapping[str, Any] | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    device: DeviceEngine | None = None

    def problem(self) -> str | None:
        """See BundleManifest."""
        return (
            wrong_files(self.files, self.precision)
            or wrong_tensors(self.input, self.outputs)
            or wrong_picture(self.input)
            or wrong_colours(self.mean, self.std)
            or self._wrong_maps()
            or wrong_placement(self.placement)
        )

    def _wrong_maps(self) -> str | None:
        maps, output = self.maps, self.outputs[0]
        if not 0 < self.min_score < 1:
            return f"its least score is {self.min_score}"
        if min(maps.height, maps.width, maps.stride) < 1 or max(maps.height, maps.width, maps.stride) > MAX_SIDE:
            return f"its grid has {maps.height} x {maps.width} cells of {maps.stride} pixels"
        if not (0 < maps.size <= MAX_SIDE and 0 < maps.gain <= MAX_SIDE):
            return f"the size and the gain of its boxes are {maps.size} and {maps.gain}"
        grid = (maps.height, maps.width)
        wanted = (1, CHANNELS, *grid) if output.layout == "NCHW" else (1, *grid, CHANNELS)
        if output.shape != wanted or len(self.outputs) != 1:
            return f"its output {output.shape} is not {wanted}"
        if (maps.height * maps.stride, maps.width * maps.stride) != self.input_shape:
            return f"its input {self.input.shape} does not fit the grid of cells of {maps.stride} pixels"
        return None
