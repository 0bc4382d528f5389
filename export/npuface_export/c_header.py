"""A C header of a bundle: its constants and the host half of its decode, for firmware that runs the model itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from npuface_export.target import targets
from npuface_runtime.errors import UserError
from npuface_runtime.finish import finish_of
from npuface_runtime.host_halves import HOST_HALVES
from npuface_runtime.manifest import Manifest, TensorInfo

_SOURCE = Path(__file__).parent / "c_source"
_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
}
_CONFIDENCE_PARAMS = ("ideal_mass", "mass_power")
"""What confidences are computed with, where the form has them."""
_GRID, _CONFIDENCE = "grid.h", "confidence.h"
_PARTS: dict[str, tuple[str, ...]] = {
    "coordinates": (),
    "moments": (_GRID, _CONFIDENCE),
    "sums": (_GRID, _CONFIDENCE),
    "blocks": (_GRID, _CONFIDENCE),
    "offset-moments": (_GRID, _CONFIDENCE),
    "marginals": (_CONFIDENCE,),
    "heatmaps": (),
    "heatmap-offset": (),
    "classifiers": (),
}
"""What the host half of each name uses."""


def c_header(manifest: Manifest) -> str:
    """The header as text: C99, needs the standard library's stdint.h, stdlib.h and math.h, and no memory of its own.

    It describes the tensors of the bundle's model file.

    Raises:
        UserError: the decode's host half, or a type of the model, has no counterpart in C here, or what the NPU runs
            was quantized by the vendor's tool and has other tensors.
    """
    finish_of(manifest)
    _check_tensors(manifest)
    if manifest.decode.finish not in _PARTS:
        known = ", ".join(_PARTS)
        raise UserError(
            f"cannot write the decode {manifest.decode.finish!r} in C", f"there is C for {known}", "take another form"
        )
    guard = "NPUFACE_" + re.sub(r"\W", "_", manifest.name).upper() + "_H"
    lines = [
        f"/* {_comment(manifest.name)} for {_comment(manifest.target)}, {_comment(manifest.precision)}, decode "
        f"{_comment(manifest.decode.form)}. Made by NPUFace; do not edit. */",
        f"/* Its tensors are those of {_comment(manifest.files['model'].path)}. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <math.h>",
        "#include <stdint.h>",
        "#include <stdlib.h>",
        "",
        *(f"#define NPUFACE_{name} {value}" for name, value in _constants(manifest)),
        "",
        f"typedef {_type(manifest.input)} npuface_input;",
        f"typedef {_type(manifest.outputs[0])} npuface_output;",
        "",
    ]
    parts = ("common.h", *_PARTS[manifest.decode.finish], f"{manifest.decode.finish}.h", "finish.h")
    return "\n".join([*lines, *((_SOURCE / part).read_text() for part in parts), f"#endif /* {guard} */", ""])


def _check_tensors(manifest: Manifest) -> None:
    """Refuse where the NPU's tensors are others than the model's, and the manifest does not know them."""
    target = targets().get(manifest.target)
    if target is not None and target.compiles == "float" and "device" in manifest.files:
        raise UserError(
            f"cannot write the header of {manifest.name} for {target.name}",
            f"{manifest.files['device'].path} has other tensors than {manifest.files['model'].path}: the vendor's tool "
            "quantized it from the float model with ranges of its own",
            "take types, scales and zero points from the vendor's tool, or a bundle for another target",
        )


def _constants(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Names and values of the macros."""
    maps, (height, width) = manifest.heatmap, manifest.input_shape
    yield "POINTS", str(manifest.landmarks.points)
    yield "INPUT_HEIGHT", str(height)
    yield "INPUT_WIDTH", str(width)
    yield "INPUT_IS_NHWC", str(int(manifest.input.layout == "NHWC"))
    yield from _input_constants(manifest)
    yield "MARGIN", _number(manifest.preprocess.margin)
    yield "MAP_HEIGHT", str(maps.height)
    yield "MAP_WIDTH", str(maps.width)
    for i, axis in enumerate("XY"):
        yield f"CELL_SCALE_{axis}", _number(maps.scale[i])
        yield f"CELL_OFFSET_{axis}", _number(maps.offset[i])
    yield from _output_constants(manifest.outputs[0])
    used = {*HOST_HALVES[manifest.decode.finish].params, *_CONFIDENCE_PARAMS}
    for name, value in sorted(manifest.decode.params.items()):
        if name in used:  # any other would be a name of somebody else's choice in the firmware
            yield name.upper(), _number(value)
    if "mass_power" in manifest.decode.params:
        yield "HAS_MAXIMUM", "1"
    if manifest.decode.face_confidence is not None:
        yield "FACE_CONFIDENCE", _number(manifest.decode.face_confidence)


def _input_constants(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Stored value = pixel value x gain + shift; see npuface_runtime.preprocess."""
    info, how = manifest.input, manifest.preprocess
    scale, zero = (1.0, 0) if info.scale is None or info.zero_point is None else (info.scale, info.zero_point)
    gain = 1 / (np.asarray(how.std) * scale)
    shift = zero - np.asarray(how.mean) * gain
    yield "INPUT_GAIN", "{" + ", ".join(map(_number, gain)) + "}"
    yield "INPUT_SHIFT", "{" + ", ".join(map(_number, shift)) + "}"
    yield "INPUT_IS_INTEGER", str(int(info.scale is not None))
    if info.scale is not None:
        limits = np.iinfo(info.dtype)
        yield "INPUT_LOWEST", _number(float(limits.min))
        yield "INPUT_HIGHEST", _number(float(limits.max))


def _output_constants(info: TensorInfo) -> Iterator[tuple[str, str]]:
    is_nhwc = info.layout == "NHWC" and len(info.shape) == 4
    values = int(np.prod(info.shape))
    channels = info.shape[3] if is_nhwc else 1
    yield "OUTPUT_VALUES", str(values)
    yield "OUTPUT_IS_NHWC", str(int(is_nhwc))
    yield "OUTPUT_CHANNELS", str(channels)
    yield "OUTPUT_CELLS", str(values // channels)
    yield "OUTPUT_SCALE", _number(1.0 if info.scale is None else info.scale)
    yield "OUTPUT_ZERO_POINT", _number(float(info.zero_point or 0))


def _number(value: float) -> str:
    """A float literal of C that reads back as the same float32."""
    text = np.format_float_positional(np.float32(value), unique=True, trim="0")
    return f"{text}f" if not text.startswith("-") else f"({text}f)"


def _type(info: TensorInfo) -> str:
    if info.dtype not in _TYPES:
        raise UserError(
            "cannot write this bundle's header", f"C has no type {info.dtype}", f"use one of {', '.join(_TYPES)}"
        )
    return _TYPES[info.dtype]


def _comment(text: str) -> str:
    """A text that cannot end the comment it stands in."""
    return text.replace("*/", "* /").replace("\n", " ")
