"""Checkpoints: a safetensors file whose metadata says which network it holds and how it was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from npuface_runtime.errors import UserError
from npuface_toolkit.schemes import scheme_by_name
from npuface_toolkit.student import Student, StudentConfig
from npuface_toolkit.tensors_file import write_tensors

FORMAT = "npuface-student-1"
_SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class StudentInfo:
    """What a checkpoint says besides its weights.

    Attributes:
        config: the network's shape.
        scheme: name of the landmark scheme.
        decode: the decode form it was trained with.
        threshold, beta: parameters of the decode forms (see HeatmapSpec).
        margin: side of the square crop over the longer side of the points' box.
        sigma: standard deviation of the target heatmaps in cells.
        facts: how it was trained and measured, for people.
    """

    config: StudentConfig
    scheme: str
    decode: str = "relative-threshold"
    threshold: float = 0.3
    beta: float = 20.0
    margin: float = 1.3
    sigma: float = 1.5
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scheme = scheme_by_name(self.scheme)
        if (scheme.points, len(scheme.boundaries)) != (self.config.points, self.config.boundaries):
            raise ValueError(
                f"{self.config.points} points and {self.config.boundaries} boundaries are not those of {self.scheme}"
            )


def rounded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as a checkpoint keeps them: kernels in float16, which halves the file, everything else as it is."""
    return {name: w.half() if w.is_floating_point() and w.ndim > 1 else w for name, w in weights.items()}


def save_student(path: Path, weights: Mapping[str, Tensor], info: StudentInfo) -> None:
    """Write a checkpoint.

    Raises:
        UserError: the file cannot be written.
    """
    about = {key: getattr(info, key) for key in ("scheme", "decode", "threshold", "beta", "margin", "sigma")}
    write_weights(path, weights, FORMAT, about | {"config": info.config.as_dict(), "facts": dict(info.facts)})


def write_weights(path: Path, weights: Mapping[str, Tensor], kind: str, about: Mapping[str, Any]) -> None:
    """Write weights, rounded as they are kept, and what there is to say of them (see write_tensors).

    Raises:
        UserError: the file cannot be written.
    """
    write_tensors(path, rounded(weights), kind, json.dumps(about))


def find_checkpoint(name: str) -> Path:
    """The file of a checkpoint: a path, or the name of a shipped student such as `student-68`.

    Raises:
        UserError: there is neither such a file nor such a shipped student.
    """
    path, shipped = Path(name), _SHIPPED / f"{name}.safetensors"
    if path.is_file():
        return path
    if "/" not in name and shipped.is_file():
        return shipped
    names = ", ".join(sorted(p.stem for p in _SHIPPED.glob("*.safetensors"))) or "none"
    raise UserError(
        f"cannot open the checkpoint {name}",
        "it is a folder" if path.is_dir() else "there is no such file",
        f"give a .safetensors file or a shipped student ({names})",
    )


def load_student(name: str) -> tuple[Student, StudentInfo]:
    """The network in evaluation mode, and what its checkpoint says.

    Raises:
        UserError: the file is missing, damaged, or no student's checkpoint.
    """
    path = find_checkpoint(name)
    weights, said = read_weights(path, FORMAT)
    try:
        about = json.loads(said)
        info = StudentInfo(**(about | {"config": StudentConfig(**about["config"])}))
        student = Student(info.config)
        student.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"cannot open the checkpoint {path}",
            f"its weights and its description disagree ({reason})",
            "train or download it again",
        ) from None
    return student.eval(), info


def checkpoint_format(path: Path) -> str | None:
    """What a safetensors file says it is; None where it is none, or says nothing."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format")
    except (SafetensorError, OSError):
        return None


def read_weights(path: Path, kind: str) -> tuple[dict[str, Tensor], str]:
    """The weights of a checkpoint of that format, and what it says of them, which should be JSON.

    Raises:
        UserError: the file is damaged, or a checkpoint of another kind.
    """
    what = f"cannot open the checkpoint {path}"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != kind:
                found = metadata.get("format", "something else")
                raise UserError(what, f"it does not say it is a {kind} (but {found})", "give a checkpoint of that kind")
            return {key: file.get_tensor(key) for key in file.keys()}, metadata.get("about", "")  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise UserError(
            what, f"it is no safetensors file ({error})", "give a checkpoint made by npuface train"
        ) from None
