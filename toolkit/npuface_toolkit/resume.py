"""The state of a training run on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from npuface_runtime.errors import UserError


@dataclass(frozen=True)
class RunState:
    """Where a run stands: the stage, the epoch to run next, and the state dicts."""

    stage: int
    epoch: int
    tensors: dict[str, Any]


def save_state(
    path: Path,
    at: tuple[int, int],
    config: dict[str, Any],
    student: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> None:
    """Write the state to a temporary name, then rename: a kill in between leaves the earlier one.

    Raises:
        UserError: the file cannot be written.
    """
    parts = {"student": student, "average": average, "optimizer": optimizer, "schedule": schedule}
    state = {"at": at, "config": config} | {name: part.state_dict() for name, part in parts.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot write {path}", str(error), "free some disk space, then run the same command again") from None
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path, config: dict[str, Any]) -> RunState | None:
    """The state that a run with the same configuration left; None where it left none.

    Raises:
        UserError: the file is damaged, or another configuration wrote it.
    """
    if not path.is_file():
        return None
    try:
        state = torch.load(path, weights_only=True)
        at, kept = state.pop("at"), state.pop("config")
    except (RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"cannot resume from {path}", f"it is damaged ({error})", "delete it to start anew") from None
    if kept != config:
        raise UserError(f"cannot resume from {path}", "another configuration wrote it", "delete it to start anew, or name another output")
    return RunState(at[0], at[1], state)
