"""The file in which a training keeps its state, so that a killed one goes on there: written whole, or not at all."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from npuface_runtime.errors import UserError

T = TypeVar("T")


def write_state(path: Path, config: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a state to a temporary name, then rename: a kill in between leaves the earlier one.

    Args:
        config: what the run depends on, as plain data.
        state: plain data and tensors.

    Raises:
        UserError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state | {"config": config}, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        fix = "free some disk space, then run the same command again"
        raise UserError(f"cannot write {path}", str(error), fix) from None
    finally:
        temporary.unlink(missing_ok=True)


def read_state(path: Path, config: dict[str, Any], restore: Callable[[dict[str, Any]], T]) -> T | None:
    """What `restore` makes of the state that a run with the same `config` left; None where it left none.

    Raises:
        UserError: the file is damaged, or a run with another `config`, so on other data, wrote it.
    """
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["config"] != config:
            fix = "delete it to start anew, or name another output"
            raise UserError(f"cannot resume from {path}", "another configuration or other data wrote it", fix)
        return restore(state)
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"cannot resume from {path}", f"it is damaged ({error})", "delete it to start anew") from None
