"""Other people's landmark networks, run as their authors run them, to be measured on the same faces in the same run.

A peer is an ONNX file and a TOML that describes it:

    name = "OpenSeeFace"
    model = "lm_model0_opt.onnx"            # beside the TOML; takes RGB, 1 x 3 x H x W
    mean = [123.675, 116.28, 103.53]        # it takes (rgb - mean) / std
    std = [58.395, 57.12, 57.375]
    decoder = "logit-offsets"               # a name in peer_decoders.DECODERS
    grow = [0.1, 0.125]                     # the crop: the box of the points and so much more on each side, in x and y
    scheme = "ibug-68"
    theirs = "0-47, 48-52, 53-57, 58, 59-61, 62, 63-65"
    ours = "0-47, 49-53, 55-59, 48, 61-63, 54, 65-67"

A point in `theirs` is the point of the scheme at the same place in `ours`. `square = true` makes the crop a square
around the longer side.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_toolkit.peer_decoders import DECODERS
from npuface_toolkit.schemes import point_ranges, scheme_by_name

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PeerDescription:
    """What the TOML says; see the module."""

    name: str
    model: str
    scheme: str
    theirs: str
    ours: str
    decoder: str
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    grow: tuple[float, ...] = (0.0, 0.0)
    square: bool = False

    def __post_init__(self) -> None:
        texts = (self.name, self.model, self.scheme, self.theirs, self.ours, self.decoder)
        numbers = (*self.mean, *self.std, *self.grow)
        if not all(isinstance(text, str) for text in texts) or not all(type(v) in (int, float) for v in numbers):
            raise ValueError("a text is no text, or a number no number")
        if self.decoder not in DECODERS:
            raise ValueError(f"decoder {self.decoder!r} is none of {', '.join(DECODERS)}")
        if (len(self.mean), len(self.std), len(self.grow)) != (3, 3, 2) or min(self.std) <= 0:
            raise ValueError("mean and std are three numbers each, std above 0, and grow two")


def read_description(path: Path) -> PeerDescription:
    """Read a peer's TOML.

    Raises:
        UserError: the file is missing, no TOML, or has a key or value that is not known.
    """
    what = f"cannot read the peer {path}"
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text())
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in raw.items()}
        return PeerDescription(**plain)
    except OSError as error:
        raise UserError(what, error.strerror or str(error), "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise UserError(what, str(error), "see docs/accuracy.md for an example") from None


class Peer:
    """An open peer.

    Attributes:
        name: what it calls itself.
        engine: what runs it.
        scheme: of the points that it is compared on.
        ours: those points, of the scheme.

    Raises:
        UserError: the description or the model cannot be read, or they do not fit together.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        file = Path(path)
        self._what = f"cannot use the peer {file}"
        self._how = read_description(file)
        self.name, self.scheme = self._how.name, scheme_by_name(self._how.scheme)
        self.ours, self._theirs = (self._indices(text) for text in (self._how.ours, self._how.theirs))
        if len(self.ours) != len(self._theirs) or max(self.ours) >= self.scheme.points:
            why = f"theirs are {len(self._theirs)} points, ours {len(self.ours)} up to number {max(self.ours)}"
            raise UserError(self._what, why, "mend theirs and ours")
        self._session = _open(file.parent / self._how.model, threads, self._what)
        self._shape = self._input_shape()
        self.engine = f"ONNX Runtime {onnxruntime.__version__}, CPU"

    def _indices(self, text: str) -> tuple[int, ...]:
        try:
            return point_ranges(text)
        except ValueError as error:
            raise UserError(self._what, str(error), "write for instance 0-16, 20") from None

    def _input_shape(self) -> tuple[int, int]:
        shape = self._session.get_inputs()[0].shape
        if len(shape) != 4 or shape[1] != 3 or not all(isinstance(n, int) and 0 < n <= 4096 for n in shape[2:]):
            raise UserError(
                self._what, f"its input is {shape}", "give a network that takes 1 x 3 x H x W, of fixed size"
            )
        return int(shape[2]), int(shape[3])

    def prepare(self, picture: NDArray[np.uint8], box: Floats) -> tuple[Floats, NDArray[np.float64]]:
        """A face as it takes it.

        Args:
            picture: RGB [H, W, 3].
            box: of the points in it, x0, y0, x1, y1.

        Returns:
            Its input [1, 3, H, W], and the affine map [2, 3] from the picture to that input.
        """
        matrix = self._matrix(box.astype(np.float64))
        cut = cv2.warpAffine(picture, matrix, self._shape[::-1], flags=cv2.INTER_LINEAR)
        entering = (cut - np.asarray(self._how.mean)) / np.asarray(self._how.std)
        return np.ascontiguousarray(entering.transpose(2, 0, 1)[None], np.float32), matrix

    def _matrix(self, box: NDArray[np.float64]) -> NDArray[np.float64]:
        size = np.maximum(box[2:] - box[:2], 1)
        if self._how.square:
            size = np.full(2, size.max())
        size = size * (1 + 2 * np.asarray(self._how.grow))
        scale = self._shape[::-1] / size
        corner = (box[:2] + box[2:]) / 2 - size / 2
        return np.array([[scale[0], 0, (-corner[0]) * scale[0] - 0.5], [0, scale[1], (-corner[1]) * scale[1] - 0.5]])

    def run(self, entering: Floats) -> list[Floats]:
        """Its outputs, without the batch dimension."""
        outputs = self._session.run(None, {self._session.get_inputs()[0].name: entering})
        return [np.asarray(output[0], np.float32) for output in outputs]

    def decode(self, outputs: list[Floats], matrix: NDArray[np.float64]) -> Floats:
        """Outputs -> its points [len(ours), 2] in the picture.

        Raises:
            UserError: the outputs are not what the decoder takes, lack a point, or are not finite.
        """
        try:
            points = DECODERS[self._how.decoder](outputs, self._shape)
        except (ValueError, IndexError) as error:
            raise UserError(
                self._what, f"{self._how.decoder} cannot decode it ({error})", "name another decoder"
            ) from None
        if max(self._theirs) >= len(points):
            why = f"it gives {len(points)} points, and theirs asks for point {max(self._theirs)}"
            raise UserError(self._what, why, "mend theirs")
        chosen = points[list(self._theirs)].astype(np.float64)
        if not np.isfinite(chosen).all():
            raise UserError(self._what, "it gave a coordinate that is not finite", "check mean, std and the decoder")
        return np.asarray((chosen - matrix[:, 2]) / np.diag(matrix[:, :2]), np.float32)

    def points(self, picture: NDArray[np.uint8], box: Floats) -> Floats:
        """The points [len(ours), 2] of the face whose points lie in that box of an RGB picture [H, W, 3]."""
        entering, matrix = self.prepare(picture, box)
        return self.decode(self.run(entering), matrix)


def _open(file: Path, threads: int, what: str) -> onnxruntime.InferenceSession:
    if not file.is_file():
        raise UserError(what, f"there is no file {file}", "put the model beside its description, or mend the name")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base
        raise UserError(
            what, f"ONNX Runtime cannot open it ({str(error).splitlines()[0]})", "check the model"
        ) from None
