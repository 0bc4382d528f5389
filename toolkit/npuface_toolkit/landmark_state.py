"""Where a landmark training stands, so that a killed one goes on there to the same result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from npuface_toolkit.metrics import Accuracy
from npuface_toolkit.state_file import read_state, write_state
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
    """Write the state, see write_state.

    Raises:
        UserError: the file cannot be written.
    """
    plain = {key: getattr(state, key) for key in ("stage", "epoch", "seconds", "tensors")}
    write_state(path, config, plain | {"history": [asdict(epoch) for epoch in state.history]})


def load_state(path: Path, config: dict[str, Any]) -> RunState | None:
    """The state that a run with the same configuration left; None where it left none.

    Args:
        config: what the run depends on, the faces as well, as plain data.

    Raises:
        UserError: the file is damaged, or a run with another `config` wrote it.
    """
    return read_state(path, config, _state)


def _state(plain: dict[str, Any]) -> RunState:
    history = [_report(epoch) for epoch in plain["history"]]
    return RunState(plain["stage"], plain["epoch"], plain["seconds"], history, plain["tensors"])


def _report(plain: dict[str, Any]) -> EpochReport:
    held_out = plain["held_out"]
    return EpochReport(**(plain | {"held_out": held_out and Accuracy(**held_out)}))
