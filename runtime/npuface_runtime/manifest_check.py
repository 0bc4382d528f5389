"""Checks of a landmark network's manifest that go beyond types: sizes, the grid of heatmaps, records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npuface_runtime.manifest_parts import MAX_SIDE, wrong_colours, wrong_files, wrong_picture, wrong_tensors
from npuface_runtime.manifest_records import wrong_records

if TYPE_CHECKING:
    from npuface_runtime.manifest import Manifest

_KINDS = ("heatmaps", "heatmap-offset", "simcc")
_MAX_POINTS = 10_000


def inconsistency(manifest: Manifest) -> str | None:
    """Why a manifest contradicts itself or could not be used safely; None if it does not."""
    pre = manifest.preprocess
    return (
        wrong_files(manifest.files, manifest.precision)
        or _sizes(manifest)
        or wrong_tensors(manifest.input, manifest.outputs)
        or wrong_picture(manifest.input)
        or _grid(manifest)
        or wrong_colours(pre.mean, pre.std)
        or (None if pre.margin > 0 else "its preprocessing does not have a positive margin")
        or _confidence(manifest.decode.face_confidence)
        or wrong_records(manifest)
    )


def _sizes(manifest: Manifest) -> str | None:
    if not 1 <= manifest.landmarks.points <= _MAX_POINTS:
        return f"its number of landmarks is {manifest.landmarks.points}"
    maps = manifest.heatmap
    if maps.kind not in _KINDS:
        return f"its heatmaps are of kind {maps.kind!r}, not one of {', '.join(_KINDS)}"
    if min(maps.height, maps.width) < 1 or max(maps.height, maps.width) > MAX_SIDE:
        return f"its heatmaps have {maps.height} x {maps.width} cells"
    if len(maps.scale) != 2 or len(maps.offset) != 2 or min(maps.scale) <= 0:
        return f"the scale and offset of its heatmaps are {maps.scale} and {maps.offset}, not x and y of each"
    return None


def _confidence(of_a_face: float | None) -> str | None:
    fits = of_a_face is None or 0 < of_a_face <= 1
    return None if fits else f"its confidence of a clear face is {of_a_face}, not above 0 and at most 1"


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
