"""The manifest of a bundle: all that the runtime knows about a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.manifest_check import inconsistency
from npuface_runtime.plain import build, parse_json

FORMAT = "npuface-bundle"
VERSION = 3
FILE_NAME = "manifest.json"
_MAX_BYTES = 1 << 23
"""Every operator of an NPU's model stands in its manifest with some 250 bytes; the largest networks have thousands."""


@dataclass(frozen=True)
class FileInfo:
    """A file of the bundle: its name relative to the bundle, its SHA-256 in hex, its size in bytes."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class TensorInfo:
    """A tensor that enters or leaves the model.

    Attributes:
        name: as the engine knows it.
        shape: with the batch dimension, which is 1.
        dtype: numpy's name, such as float32, int8, int16.
        layout: NCHW or NHWC.
        scale, zero_point: real = (stored - zero_point) * scale; None for float tensors.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    scale: float | None = None
    zero_point: int | None = None


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
        moved: {"budget_px", "float_px", "int8_px"}: by how much the form moves landmarks on average, in heatmap cells,
            against the decode that the network was trained with and by 8 bits, simulated.
    """

    form: str
    finish: str
    params: Mapping[str, float]
    bytes_out: int
    refused: tuple[Mapping[str, str], ...] = ()
    warning: str | None = None
    moved: Mapping[str, float] | None = None


@dataclass(frozen=True)
class DeviceEngine:
    """What opens a bundle on the device itself.

    Attributes:
        engine: a name in npuface_runtime.devices.DEVICES.
        options: of that engine, such as the NPU's cores or the name of a delegate. Each engine has a list of what it
            takes: a bundle is data and brings no code.
    """

    engine: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself.

    Attributes:
        name: of the network, such as student-68.
        target: what it was built for.
        engine: what opens files["model"]: onnxruntime, openvino or litert.
        precision: float32 or int8.
        files: by role. `model` is what the engine opens (`weights` goes with it for OpenVINO), `float` (and
            `float_weights`) the model before quantization, `device` what the NPU itself runs where a vendor's
            compiler made it; `model` is then what emulates it on a host.
        input, outputs: the tensors of `model`.
        recipe: how it was quantized; None for float.
        placement: {"npu", "cpu", "cpu_operators"}, and of an NPU every operator; None where the vendor does not tell.
        parity: {"max_abs"}: largest difference of coordinates to the torch network, in heatmap cells.
        coordinate_shift: {"mean_px", "max_px", "faces", "oracle", "pictures"}: INT8 against float, in heatmap cells,
            what computed the INT8 side, and on what; None where it was not measured.
        estimate: the vendor compiler's figures and what kind of number they are; None where there is no compiler.
        tools: versions of what made it.
        origin: of a network that was not trained here: its file, and how its decode was found; None for a student.
        device: what opens the bundle on the device; None where that is `engine` on any machine.
    """

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

    @property
    def input_shape(self) -> tuple[int, int]:
        """Height and width of the network input in pixels."""
        shape = self.input.shape
        return (shape[2], shape[3]) if self.input.layout == "NCHW" else (shape[1], shape[2])

    def as_json(self) -> dict[str, Any]:
        """The manifest as plain data, with format and version."""
        return {"format": FORMAT, "version": VERSION} | asdict(self)

    @classmethod
    def load(cls, bundle: str | Path) -> Manifest:
        """Read and check the manifest of a bundle folder.

        Raises:
            UserError: the folder is no bundle, or its manifest is damaged or of another version.
        """
        path = Path(bundle) / FILE_NAME
        if not path.is_file():
            raise UserError(
                f"cannot open the bundle {bundle}",
                f"there is no {FILE_NAME} in it",
                "give a folder made by npuface export",
            )
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise _damaged(bundle, f"{FILE_NAME} is over {_MAX_BYTES} bytes")
            raw = parse_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise _unreadable(bundle, error) from None
        except ValueError as error:
            raise _damaged(bundle, f"{FILE_NAME} is not JSON ({error})") from None
        return cls.from_json(raw, bundle)

    @classmethod
    def from_json(cls, raw: object, bundle: str | Path = "") -> Manifest:
        """Check plain data and make a manifest of it. Raises UserError where it is wrong."""
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise _damaged(bundle, f'{FILE_NAME} does not say "format": "{FORMAT}"')
        if raw.get("version") != VERSION:
            raise UserError(
                f"cannot open the bundle {bundle}",
                f"its version is {raw.get('version')!r}, this runtime reads {VERSION}",
                "export it again with this version of npuface, or update the runtime",
            )
        body = {key: value for key, value in raw.items() if key not in ("format", "version")}
        try:
            manifest = cast(Manifest, build(cls, body, "manifest"))
        except ValueError as error:
            raise _damaged(bundle, str(error)) from None
        problem = inconsistency(manifest)
        if problem:
            raise _damaged(bundle, problem)
        return manifest

    def file(self, bundle: str | Path, role: str) -> Path:
        """The path of a file of the bundle, its size and SHA-256 checked.

        Raises:
            UserError: the bundle has no such file, or the file is not the one that was packed.
        """
        if role not in self.files:
            raise UserError(f"cannot open the bundle {bundle}", f"it has no {role!r} file", "export it again")
        info = self.files[role]
        path = Path(bundle) / info.path
        try:
            if path.resolve() != Path(bundle).resolve() / info.path:
                raise _damaged(bundle, f"{info.path} is a link")
            if not path.is_file():
                raise _damaged(bundle, f"{info.path} is missing")
            if path.stat().st_size != info.bytes or sha256_of(path) != info.sha256:
                raise _damaged(bundle, f"{info.path} is not the file that was packed (size or SHA-256 differ)")
        except OSError as error:
            raise _unreadable(bundle, error) from None
        return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unreadable(bundle: str | Path, error: OSError) -> UserError:
    return UserError(f"cannot read the bundle {bundle}", error.strerror or str(error), "check the files' permissions")


def _damaged(bundle: str | Path, why: str) -> UserError:
    return UserError(f"the bundle {bundle} is damaged", why, "export it again or copy it again")
