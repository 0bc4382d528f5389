"""Detector checkpoints: a safetensors file whose metadata says which network it holds and how it was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import find_checkpoint, read_weights, write_weights
from npuface_toolkit.detector.network import DetectorConfig, FaceDetector

FORMAT = "npuface-detector-1"
MIN_SCORE = 0.5


@dataclass(frozen=True)
class DetectorInfo:
    """What a checkpoint says besides its weights.

    Attributes:
        config: the network's shape.
        min_score: from which a cell is taken for a face.
        facts: how it was trained and measured, for people.
    """

    config: DetectorConfig
    min_score: float = MIN_SCORE
    facts: Mapping[str, Any] = field(default_factory=dict)


def save_detector(path: Path, weights: Mapping[str, Tensor], info: DetectorInfo) -> None:
    """Write a checkpoint.

    Raises:
        UserError: the file cannot be written.
    """
    about = {"config": info.config.as_dict(), "min_score": info.min_score, "facts": dict(info.facts)}
    write_weights(path, weights, FORMAT, about)


def load_detector(name: str) -> tuple[FaceDetector, DetectorInfo]:
    """The network in evaluation mode, and what its checkpoint says; a file, or a shipped name such as detector-320.

    Raises:
        UserError: the file is missing, damaged, or no detector's checkpoint.
    """
    path = find_checkpoint(name)
    weights, said = read_weights(path, FORMAT)
    try:
        about = json.loads(said)
        info = DetectorInfo(DetectorConfig(**about["config"]), float(about["min_score"]), dict(about["facts"]))
        network = FaceDetector(info.config)
        network.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"cannot open the checkpoint {path}",
            f"its weights and its description disagree ({reason})",
            "train or download it again",
        ) from None
    return network.eval(), info
