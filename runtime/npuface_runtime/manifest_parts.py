"""Checks of what every manifest has: files inside the bundle, tensors that fit into memory, a picture that enters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath

from npuface_runtime.bundle_manifest import FILE_NAME, FileInfo, TensorInfo

_DTYPE_RANGES: dict[str, tuple[int, int] | None] = {
    "float32": None,
    "float16": None,
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "int32": (-(1 << 31), (1 << 31) - 1),
}
"""Element types by numpy's name; for integers the values that a zero point may have."""
MAX_SIDE = 4096
"""Pixels of a network's input along a side."""
MAX_ELEMENTS = 1 << 28
"""Of a tensor: far above any landmark network, and small enough to refuse before memory runs out."""
_PRECISIONS = ("float32", "int8")
_ROLES = ("model", "weights", "float", "float_weights", "device")
"""Of files. These names and the precisions become names of files when a bundle is made of another."""


def wrong_files(files: Mapping[str, FileInfo], precision: str) -> str | None:
    """Why a file would lie outside the bundle or outside one that is made of it, or that there is no model; None if
    all is well, as in the others.
    """
    if precision not in _PRECISIONS:
        return f"its precision is {precision!r}, not one of {', '.join(_PRECISIONS)}"
    for role, info in files.items():
        if role not in _ROLES:
            return f"it has a file for {role!r}, not for one of {', '.join(_ROLES)}"
        path = PurePosixPath(info.path)
        inside = path.parts and not path.is_absolute() and ".." not in path.parts
        if not inside or "\\" in info.path or "\0" in info.path or PureWindowsPath(info.path).anchor:
            return f"the file name {info.path!r} leaves the bundle"
        if any("\ud800" <= letter <= "\udfff" for letter in info.path):  # JSON has them, no file system does
            return f"the file name {info.path!r} is no text"
        if path.as_posix().lower() == FILE_NAME:
            return f"it names {info.path!r} as one of its files"
    return None if "model" in files else "it names no model file"


def wrong_tensors(input: TensorInfo, outputs: Sequence[TensorInfo]) -> str | None:
    """What is wrong with a shape, a type, a layout or a quantization."""
    if not outputs:
        return "it names no output"
    return next((why for tensor in (input, *outputs) if (why := _tensor(tensor))), None)


def _tensor(tensor: TensorInfo) -> str | None:
    if not 1 <= len(tensor.shape) <= 6 or min(tensor.shape) < 1 or math.prod(tensor.shape) > MAX_ELEMENTS:
        return f"tensor {tensor.name!r} has shape {tensor.shape}"
    if tensor.layout not in ("NCHW", "NHWC"):
        return f"tensor {tensor.name!r} has layout {tensor.layout!r}, not NCHW or NHWC"
    if tensor.dtype not in _DTYPE_RANGES:
        return f"tensor {tensor.name!r} has type {tensor.dtype!r}, not one of {', '.join(_DTYPE_RANGES)}"
    limits, scale, zero = _DTYPE_RANGES[tensor.dtype], tensor.scale, tensor.zero_point
    given = f"tensor {tensor.name!r} of type {tensor.dtype} has scale {scale} and zero point {zero}"
    if limits is None:
        return given if scale is not None or zero is not None else None
    fits = scale is not None and scale > 0 and zero is not None and limits[0] <= zero <= limits[1]
    return None if fits else given


def wrong_picture(input: TensorInfo) -> str | None:
    """Why a tensor is no RGB picture."""
    shape, is_nchw = input.shape, input.layout == "NCHW"
    if len(shape) != 4 or shape[0] != 1 or shape[1 if is_nchw else 3] != 3 or max(shape) > MAX_SIDE:
        return f"its input {shape} is no RGB picture in {input.layout}"
    return None


def wrong_colours(mean: Sequence[float], std: Sequence[float]) -> str | None:
    """Why means and deviations do not normalise a picture."""
    fits = len(mean) == 3 and len(std) == 3 and min(std) > 0
    return None if fits else "its preprocessing is not three means and three positive deviations"
