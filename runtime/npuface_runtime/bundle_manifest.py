"""What every bundle is: a folder of model files and a manifest, which is data, checked before anything is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from npuface_runtime.errors import UserError
from npuface_runtime.plain import build, parse_json

FILE_NAME = "manifest.json"
FORMATS = {
    "npuface-bundle": "a landmark network",
    "npuface-detector": "a face detector",
    "npuface-renderer": "a renderer of faces",
}
"""What a manifest may say that it is, and that for people."""
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
class DeviceEngine:
    """What opens a bundle on the device itself.

    Attributes:
        engine: a name in npuface_runtime.devices.DEVICES.
        options: of that engine, such as the NPU's cores or the name of a delegate. Each engine has a list of what it
            takes: a bundle is data and brings no code.
    """

    engine: str
    options: Mapping[str, str] = field(default_factory=dict)


class BundleManifest:
    """A manifest of some kind. The kinds are frozen dataclasses.

    Attributes:
        FORMAT, VERSION: what the file must say.
        name: of the network, such as student-68.
        target: what it was built for.
        engine: what opens files["model"]: onnxruntime, openvino or litert.
        precision: float32 or int8.
        files: by role. `model` is what the engine opens (`weights` goes with it for OpenVINO), `float` (and
            `float_weights`) the model before quantization, `device` what the NPU itself runs where a vendor's
            compiler made it; `model` is then what emulates it on a host.
        input, outputs: the tensors of `model`.
        placement: {"npu", "cpu", "cpu_operators"}, and of an NPU every operator; None where the vendor does not tell.
        device: what opens the bundle on the device; None where that is `engine` on any machine.
    """

    FORMAT: ClassVar[str]
    VERSION: ClassVar[int]
    name: str
    target: str
    engine: str
    precision: str
    files: Mapping[str, FileInfo]
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    placement: Mapping[str, Any] | None
    device: DeviceEngine | None

    @property
    def input_shape(self) -> tuple[int, int]:
        """Height and width of the network input in pixels."""
        shape = self.input.shape
        return (shape[2], shape[3]) if self.input.layout == "NCHW" else (shape[1], shape[2])

    def problem(self) -> str | None:
        """Why the manifest contradicts itself or could not be used safely; None if it does not."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        """The manifest as plain data, with format and version."""
        return {"format": self.FORMAT, "version": self.VERSION} | asdict(cast(Any, self))

    @classmethod
    def load(cls, bundle: str | Path) -> Self:
        """Read and check the manifest of a bundle folder.

        Raises:
            UserError: the folder is no bundle, or its manifest is damaged or of another version.
        """
        path = Path(bundle) / FILE_NAME
        try:
            if not path.is_file():
                raise UserError(
                    f"cannot open the bundle {bundle}",
                    f"there is no {FILE_NAME} in it",
                    "give a folder made by npuface export",
                )
            if path.stat().st_size > _MAX_BYTES:
                raise _damaged(bundle, f"{FILE_NAME} is over {_MAX_BYTES} bytes")
            raw = parse_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise _unreadable(bundle, error) from None
        except ValueError as error:
            raise _damaged(bundle, f"{FILE_NAME} is not JSON ({error})") from None
        return cls.from_json(raw, bundle)

    @classmethod
    def from_json(cls, raw: object, bundle: str | Path = "") -> Self:
        """Check plain data and make a manifest of it. Raises UserError where it is wrong."""
        said = raw.get("format") if isinstance(raw, dict) else None
        if isinstance(said, str) and said in FORMATS and said != cls.FORMAT:
            why = f"it is {FORMATS[said]}, and {FORMATS[cls.FORMAT]} is needed"
            raise UserError(f"cannot use the bundle {bundle}", why, "give another bundle")
        if not isinstance(raw, dict) or said != cls.FORMAT:
            raise _damaged(bundle, f'{FILE_NAME} does not say "format": "{cls.FORMAT}"')
        if raw.get("version") != cls.VERSION:
            raise UserError(
                f"cannot open the bundle {bundle}",
                f"its version is {raw.get('version')!r}, this runtime reads {cls.VERSION}",
                "export it again with this version of npuface, or update the runtime",
            )
        body = {key: value for key, value in raw.items() if key not in ("format", "version")}
        try:
            manifest = cast(Self, build(cls, body, "manifest"))
        except ValueError as error:
            raise _damaged(bundle, str(error)) from None
        problem = manifest.problem()
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
        except RuntimeError:  # pathlib's answer to a link that leads to itself
            raise _damaged(bundle, f"{info.path} is a link") from None
        except OSError as error:
            raise _unreadable(bundle, error) from None
        return path


def bundle_format(bundle: str | Path) -> str | None:
    """What a folder's manifest says that it is, unchecked; None where it says nothing that can be read."""
    try:
        said = parse_json((Path(bundle) / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = said.get("format") if isinstance(said, dict) else None
    return found if isinstance(found, str) else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unreadable(bundle: str | Path, error: OSError) -> UserError:
    return UserError(f"cannot read the bundle {bundle}", error.strerror or str(error), "check the files' permissions")


def _damaged(bundle: str | Path, why: str) -> UserError:
    return UserError(f"the bundle {bundle} is damaged", why, "export it again or copy it again")
