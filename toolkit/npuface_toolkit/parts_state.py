"""Where the training of a detector or of a 3D face stands, so that a killed one goes on there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npuface_toolkit.state_file import read_state, write_state

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def save_run(path: Path | None, config: DataclassInstance, done: int, seconds: float, parts: Mapping[str, Any]) -> None:
    """Write how many epochs or steps are done, and every part's state, see write_state.

    Raises:
        UserError: the file cannot be written.
    """
    if path is not None:
        states = {name: part.state_dict() for name, part in parts.items()}
        write_state(path, asdict(config), {"done": done, "seconds": seconds, "parts": states})


def load_run(path: Path | None, config: DataclassInstance, parts: Mapping[str, Any]) -> tuple[int, float]:
    """Bring the parts to where a run of the same configuration was left; how many epochs or
    steps are done, and the seconds so far.

    Raises:
        UserError: the file is damaged, or another configuration wrote it, or it is of other faces.
    """

    def restore(state: dict[str, Any]) -> tuple[int, float]:
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        return int(state["done"]), float(state["seconds"])

    left = None if path is None else read_state(path, asdict(config), restore)
    return left or (0, 0.0)
