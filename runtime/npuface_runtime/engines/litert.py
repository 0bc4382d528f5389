"""TFLite files on LiteRT, or on tflite-runtime where only that is installed (Python 3.11 and numpy < 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from npuface_runtime.engines.engine import Array, Session, TensorSpec, choose_outputs, only_input, unloadable

try:
    from ai_edge_litert.interpreter import Interpreter, load_delegate

    _NAME, _PACKAGE = "LiteRT", "ai-edge-litert"
except ModuleNotFoundError:
    from tflite_runtime.interpreter import Interpreter, load_delegate

    _NAME, _PACKAGE = "TFLite", "tflite-runtime"

__all__ = ["FAILURES", "load_delegate", "open_model", "open_on"]

FAILURES = (ValueError, RuntimeError)
"""What the interpreter raises."""


def _spec(details: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(int(n) for n in details["shape_signature"])
    return TensorSpec(details["name"], shape, np.dtype(details["dtype"]).name)


def open_model(files: Mapping[str, Path], threads: int, outputs: Sequence[str] | None) -> Session:
    """Open a TFLite file; see open_session."""
    return open_on(files, threads, outputs, (), f"CPU, threads: {threads}")


def open_on(
    files: Mapping[str, Path], threads: int, outputs: Sequence[str] | None, delegates: Sequence[Any], where: str
) -> Session:
    """Open a TFLite file with delegates, which take what they can; `where` it runs is for people.

    Raises:
        UserError: the file cannot be opened, has an operator that neither a delegate nor the CPU takes, several
            inputs, or no such outputs.
    """
    try:
        model = Interpreter(str(files["model"]), num_threads=threads, experimental_delegates=list(delegates) or None)
        model.allocate_tensors()
    except FAILURES as error:
        raise unloadable(_NAME, files, error) from error
    picture = only_input(model.get_input_details(), files)
    every = model.get_output_details()
    chosen = [every[i] for i in choose_outputs([{details["name"]} for details in every], outputs, files)]

    def infer(value: Array) -> list[Array]:
        model.set_tensor(picture["index"], value)
        model.invoke()
        return [model.get_tensor(details["index"]) for details in chosen]

    description = f"{_NAME} {version(_PACKAGE)} ({_PACKAGE}), {where}"
    return Session(description, _spec(picture), [_spec(details) for details in chosen], infer, FAILURES)
