"""What networks draw on faces, for measuring decode forms."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from npuface_benchmarks.decode_table import NetworkMaps
from npuface_export.choose import own_points
from npuface_export.foreign.network import ForeignOptions, foreign_network
from npuface_export.network import Network
from npuface_export.photograph import photograph
from npuface_runtime.detectors import open_detector
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import Crop, box_of_points, crop_of_box
from npuface_runtime.sampling import sample_crop
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face, read_picture, split_by_identity
from npuface_toolkit.foreign_options import read_options
from npuface_toolkit.student_network import student_network
from npuface_toolkit.training_config import read_config
from npuface_toolkit.training_run import find_config

_FACES = 30
"""Of a data set, spread over it."""
_ANGLES, _SCALES = (-0.5, -0.2, 0.0, 0.3), (0.9, 1.0, 1.15)
"""Turns in radians and sizes of the crop in which the photograph's face is seen."""

Picture = NDArray[np.float32]
Points = NDArray[np.float32]


def measured_network(model: str) -> Network:
    """A checkpoint, a shipped student, or a TOML file that describes an ONNX model.

    The file's `model` is the path of the model, beside it; its other keys are those of `npuface export`, without dashes
    in front.

    Raises:
        UserError: the file cannot be read, or describes no model.
    """
    path = Path(model)
    if path.suffix != ".toml":
        return student_network(model)
    what = f"cannot read the model {path}"
    try:
        described = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(what, error.strerror or str(error), "give a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(what, f"it is not TOML ({error})", "see npuface forms --help") from None
    file = described.pop("model", None)
    options = read_options(file, _as_given(what, described)) if isinstance(file, str) else None
    if options is None:
        raise UserError(what, "it names no .onnx model", 'give its path as model = "network.onnx"')
    return foreign_network(path.parent / file, options)


def _as_given(what: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """A description's values as the command line gives them: a number for the margin, text for the others. Three
    numbers may be a list.

    Raises:
        UserError: a key is no option, or a value no text, number or list of them.
    """
    options = {field.name.replace("_", "-") for field in fields(ForeignOptions)}
    given: dict[str, Any] = {}
    for name, value in described.items():
        parts = value if isinstance(value, list) else [value]
        if name.replace("_", "-") not in options:
            why = f"{name} is no option of npuface export"
            raise UserError(what, why, "see npuface export --help; npuface evaluate has descriptions of its own")
        wanted = (int, float) if name == "margin" else (int, float, str)
        if not parts or not all(isinstance(part, wanted) for part in parts) or (name == "margin" and len(parts) > 1):
            raise UserError(what, f"{name} is {value!r}", "write it as for npuface export")
        given[name] = parts[0] if name == "margin" else ",".join(map(str, parts))
    return given


def network_maps(network: Network, data: Sequence[str]) -> list[NetworkMaps]:
    """What a network draws on each set of labelled faces that `FORMAT:FILE[:PICTURES_DIR]` names; on the photograph
    without any.

    Of a set, the people count who are held out where the shipped student is trained.

    Raises:
        UserError: the data cannot be read.
    """
    if not data:
        return [_maps(network, f"{network.name} on the photograph", [(crop, None) for crop in _photographed(network)])]
    return [
        _maps(network, f"{network.name} on {Path(source.split(':')[1]).stem}", list(_labelled(network, source)))
        for source in data
    ]


def _maps(network: Network, name: str, seen: Sequence[tuple[Picture, Points | None]]) -> NetworkMaps:
    mean, std = np.array(network.mean, np.float32), np.array(network.std, np.float32)
    drawn = []
    with torch.no_grad():
        for picture, _ in seen:
            entered = torch.from_numpy((picture - mean) / std).permute(2, 0, 1)[None]
            drawn.append(network.module.eval()(entered.contiguous()))
    labels = [points for _, points in seen if points is not None]
    truth = None
    if len(labels) == len(seen) and labels[0].shape[0] == network.points:
        truth = (np.stack(labels) - network.cell_offset) / network.cell_scale
    return NetworkMaps(name, network.spec, torch.cat(drawn), lambda maps: _own(network, maps), truth)


def _own(network: Network, maps: torch.Tensor) -> torch.Tensor:
    points = own_points(network, maps)
    if points is None:
        raise UserError(
            f"cannot measure {network.name}", "nothing says how it is decoded", "give a model with its own decode"
        )
    return points


def _photographed(network: Network) -> Iterator[Picture]:
    """The photograph's face, turned and in several sizes; every third is upright."""
    frame, detector = photograph(), open_detector("cascade")
    face = crop_of_box(detector.to_landmark_box(detector.detect(frame)[0].box), network.margin)
    for scale, angle in product(_SCALES, _ANGLES):
        yield sample_crop(frame, Crop(face.x, face.y, face.side * scale, angle), network.input_shape)


def _labelled(network: Network, source: str) -> Iterator[tuple[Picture, Points]]:
    """Crops around the true points, and the points in them."""
    faces, _ = read_faces(source)
    _, held_out = split_by_identity(faces, read_config(find_config("student-68")).held_out)
    for face in _spread(held_out or faces):
        crop = crop_of_box(box_of_points(face.points), network.margin)
        yield (
            sample_crop(read_picture(face.picture), crop, network.input_shape),
            crop.to_input(face.points, network.input_shape),
        )


def _spread(faces: Sequence[Face]) -> list[Face]:
    count = min(len(faces), _FACES)
    return [faces[i * len(faces) // count] for i in range(count)]
