"""The state of a training run on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from npuface_runtime.errors import UserError
from npuface_toolkit.metrics import Accuracy
from npuface_toolkit.training_log import EpochReport


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes:
        stage, epoch: what to run next.
        seconds: spent training so far.
        history: a report of every epoch so far.
        tensors: state dicts of `student`, `average`, `optimizer` and `schedule`.
    """

    stage: int
    epoch: int
    seconds: float
    history: list[EpochReport]
    tensors: dict[str, dict[str, Any]]


def save_state(path: Path, state: RunState, config: dict[str, Any]) -> None:
    """Write the state to a temporary name, then rename: a kill in between leaves the earlier one.

    Raises:
        UserError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    plain = {key: getattr(state, key) for key in ("stage", "epoch", "seconds")}
    plain |= {"config": config, "history": [asdict(epoch) for epoch in state.history]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(plain | {"tensors": state.tensors}, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        fix = "free some disk space, then run the same command again"
        raise UserError(f"cannot write {path}", str(error), fix) from None
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path, config: dict[str, Any]) -> RunState | None:
    """The state that a run with the same configuration left; None where it left none.

    Args:
        config: what the run depends on, the faces as well, as plain data.

    Raises:
        UserError: the file is damaged, or a run with another `config` wrote it.
    """
    if not path.is_file():
        return None
    try:
        plain = torch.load(path, map_location="cpu", weights_only=True)
        history = [_report(epoch) for epoch in plain["history"]]
        state = RunState(plain["stage"], plain["epoch"], plain["seconds"], history, plain["tensors"])
        kept = plain["config"]
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"cannot resume from {path}", f"it is damaged ({error})", "delete it to start anew") from None
    if kept != config:
        fix = "delete it to start anew, or name another output"
        raise UserError(f"cannot resume from {path}", "another configuration or other faces wrote it", fix)
    return state


def _report(plain: dict[str, Any]) -> EpochReport:
    held_out = plain["held_out"]
    return EpochReport(**(plain | {"held_out": held_out and Accuracy(**held_out)}))
