"""What a manifest must satisfy beyond its types, before anything is opened or allocated by its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from npuface_runtime.manifest_records import wrong_record

if TYPE_CHECKING:
    from npuface_runtime.manifest import Manifest, TensorInfo

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
_KINDS = ("heatmaps", "heatmap-offset", "simcc")
_MAX_SIDE = 4096
_MAX_POINTS = 10_000
_MAX_ELEMENTS = 1 << 28
"""Far above any landmark network, and small enough to refuse before memory runs out."""


def inconsistency(manifest: Manifest) -> str | None:
    """Why a manifest contradicts itself or could not be used safely; None if it does not."""
    checks: tuple[Callable[[Manifest], str | None], ...] = (_files, _sizes, _tensors, _input, _preprocess, _records)
    return next((reason for check in checks if (reason := check(manifest))), None)


def _files(manifest: Manifest) -> str | None:
    for info in manifest.files.values():
        path = PurePosixPath(info.path)
        inside = path.parts and not path.is_absolute() and ".." not in path.parts
        if not inside or "\\" in info.path or "\0" in info.path or PureWindowsPath(info.path).anchor:
            return f"the file name {info.path!r} leaves the bundle"
    return None if "model" in manifest.files else "it names no model file"


def _sizes(manifest: Manifest) -> str | None:
    if not 1 <= manifest.landmarks.points <= _MAX_POINTS:
        return f"its number of landmarks is {manifest.landmarks.points}"
    maps = manifest.heatmap
    if maps.kind not in _KINDS:
        return f"its heatmaps are of kind {maps.kind!r}, not one of {', '.join(_KINDS)}"
    if min(maps.height, maps.width) < 1 or max(maps.height, maps.width) > _MAX_SIDE:
        return f"its heatmaps have {maps.height} x {maps.width} cells"
    if len(maps.scale) != 2 or len(maps.offset) != 2 or min(maps.scale) <= 0:
        return f"the scale and offset of its heatmaps are {maps.scale} and {maps.offset}, not x and y of each"
    return None


def _tensors(manifest: Manifest) -> str | None:
    if not manifest.outputs:
        return "it names no output"
    return next((why for tensor in (manifest.input, *manifest.outputs) if (why := _tensor(tensor))), None)


def _tensor(tensor: TensorInfo) -> str | None:
    if not 1 <= len(tensor.shape) <= 6 or min(tensor.shape) < 1 or math.prod(tensor.shape) > _MAX_ELEMENTS:
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


def _input(manifest: Manifest) -> str | None:
    shape, is_nchw = manifest.input.shape, manifest.input.layout == "NCHW"
    if len(shape) != 4 or shape[0] != 1 or shape[1 if is_nchw else 3] != 3 or max(shape) > _MAX_SIDE:
        return f"its input {shape} is no RGB picture in {manifest.input.layout}"
    return _grid(manifest)


def _grid(manifest: Manifest) -> str | None:
    """The outermost cells must lie in the network input, give or take a cell."""
    maps, (height, width) = manifest.heatmap, manifest.input_shape
    for cells, pixels, scale, offset in zip(
        (maps.width, maps.height), (width, height), maps.scale, maps.offset, strict=True
    ):
        if offset < -0.5 - scale or (cells - 1) * scale + offset > pixels - 0.5 + scale:
            given = f"{maps.height} x {maps.width} heatmaps with scale {maps.scale} and offset {maps.offset}"
            return f"its input {manifest.input.shape} does not fit {given}"
    return None


def _preprocess(manifest: Manifest) -> str | None:
    pre = manifest.preprocess
    if len(pre.mean) != 3 or len(pre.std) != 3 or min(pre.std) <= 0 or pre.margin <= 0:
        return "its preprocessing is not three means, three positive deviations and a positive margin"
    return None


def _records(manifest: Manifest) -> str | None:
    return wrong_record(manifest.placement, manifest.coordinate_shift)
