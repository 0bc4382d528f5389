"""The manifest of a bundle: all that the runtime knows about a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.bundle_manifest import FILE_NAME, BundleManifest, DeviceEngine, FileInfo, TensorInfo, sha256_of
from npuface_runtime.manifest_check import inconsistency

__all__ = [
    "FILE_NAME",
    "Decode",
    "DeviceEngine",
    "FileInfo",
    "HeatmapInfo",
    "Landmarks",
    "Manifest",
    "Preprocess",
    "TensorInfo",
    "sha256_of",
]


@dataclass(frozen=True)
class Preprocess:
    """How a frame becomes the network's input: RGB, crop, (rgb - mean) / std.

    Attributes:
        mean, std: per channel, in units of 0..255.
        margin: side of the crop over the longer side of the box around the landmarks (see geometry.Crop).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    margin: float


@dataclass(frozen=True)
class Landmarks:
    """The landmark scheme and its number of points K."""

    scheme: str
    points: int


@dataclass(frozen=True)
class HeatmapInfo:
    """The heatmaps inside the network.

    Attributes:
        height, width: in cells.
        scale, offset: x and y; the cell c stands at c * scale + offset in pixels of the network input. With stride s
            that is s and (s - 1) / 2; networks whose corner cells lie on corner pixels have (pixels - 1) / (cells - 1)
            and 0.
        tensor: their name in the model file.
        kind: what that tensor holds: "heatmaps"; "heatmap-offset", K heatmaps, then K x-offsets and K y-offsets in
            cells; or "simcc", for each landmark a classifier of columns, then one of rows.
    """

    height: int
    width: int
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    tensor: str
    kind: str = "heatmaps"

    def to_pixels(self, cells: NDArray[np.floating]) -> NDArray[np.float32]:
        """Points [..., 2] in cells -> in pixels of the network input."""
        return np.asarray(cells * np.asarray(self.scale) + np.asarray(self.offset), np.float32)

    def to_cells(self, pixels: NDArray[np.floating]) -> NDArray[np.float32]:
        """Points [..., 2] in pixels of the network input -> in cells."""
        return np.asarray((pixels - np.asarray(self.offset)) / np.asarray(self.scale), np.float32)


@dataclass(frozen=True)
class Decode:
    """How coordinates come about.

    Attributes:
        form: the decode form inside the model.
        finish: its host half, a name in npuface_runtime.finish.
        params: the numbers that the host half needs.
        bytes_out: bytes that leave the network for one face.
        refused: forms that were not taken, each {"form", "reason"}.
        warning: why the form would not have been taken, had it not been asked for; None where it would.
        moved: {"budget_px", "float_px", "int8_px", "reference"}: by how much the form moves landmarks on average, in
            heatmap cells: in float against the reference, which is named in words (None where the form is that itself),
            and by 8 bits, simulated (None where there are none).
        face_confidence: mean confidence of the landmarks of a clear face, in float: the scale on which that of another
            face is read. None where the form has no confidence.
    """

    form: str
    finish: str
    params: Mapping[str, float]
    bytes_out: int
    refused: tuple[Mapping[str, str], ...] = ()
    warning: str | None = None
    moved: Mapping[str, Any] | None = None
    face_confidence: float | None = None


@dataclass(frozen=True)
class Manifest(BundleManifest):
    """What a bundle of a landmark network says about itself, beyond what every bundle does (see BundleManifest).

    Attributes:
        preprocess, landmarks, heatmap, decode: see there.
        recipe: how it was quantized; None for float.
        parity: {"max_abs"}: largest difference of coordinates to the torch network, in heatmap cells.
        coordinate_shift: {"mean_px", "max_px", "faces", "oracle", "pictures"}: INT8 against float, in heatmap cells,
            what computed the INT8 side, and on what; None where it was not measured.
        estimate: the vendor compiler's figures and what kind of number they are; None where there is no compiler.
        tools: versions of what made it.
        origin: of a network that was not trained here: its file, and how its decode was found; None for a student.
    """

    FORMAT: ClassVar[str] = "npuface-bundle"
    VERSION: ClassVar[int] = 4

    name: str
    target: str
    engine: str
    precision: str
    files: Mapping[str, FileInfo]
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    preprocess: Preprocess
    landmarks: Landmarks
    heatmap: HeatmapInfo
    decode: Decode
    recipe: Mapping[str, Any] | None = None
    placement: Mapping[str, Any] | None = None
    parity: Mapping[str, float] | None = None
    coordinate_shift: Mapping[str, Any] | None = None
    estimate: Mapping[str, Any] | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, Any] | None = None
    device: DeviceEngine | None = None

    def problem(self) -> str | None:
        """See BundleManifest."""
        return inconsistency(self)
