"""The state of a training run on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from npuface_runtime.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def save_run(path: Path | None, config: DataclassInstance, done: int, seconds: float, parts: Mapping[str, Any]) -> None:
    """Write how many epochs or steps are done, and every part's state: to a temporary name, then renamed.

    Raises:
        UserError: the file cannot be written.
    """
    if path is None:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    plain = {"config": asdict(config), "done": done, "seconds": seconds}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(plain | {"parts": {name: part.state_dict() for name, part in parts.items()}}, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        fix = "free some disk space, then run the same command again"
        raise UserError(f"cannot write {path}", str(error), fix) from None
    finally:
        temporary.unlink(missing_ok=True)


def load_run(path: Path | None, config: DataclassInstance, parts: Mapping[str, Any]) -> tuple[int, float]:
    """Bring the parts to where a run of the same configuration was left; how many epochs or
    steps are done, and the seconds so far.

    Raises:
        UserError: the file is damaged, or another configuration wrote it, or it is of other pictures.
    """
    if path is None or not path.is_file():
        return 0, 0.0
    try:
        plain = torch.load(path, map_location="cpu", weights_only=True)
        if plain["config"] != asdict(config):
            fix = "delete it to start anew, or name another output"
            raise UserError(f"cannot resume from {path}", "another configuration or other pictures wrote it", fix)
        for name, part in parts.items():
            part.load_state_dict(plain["parts"][name])
        return int(plain["done"]), float(plain["seconds"])
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"cannot resume from {path}", f"it is damaged ({error})", "delete it to start anew") from None
