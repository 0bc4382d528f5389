"""Engines: what runs a model file on this machine. Each is imported when it is asked for, by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from npuface_runtime.checks import is_file
from npuface_runtime.engines.engine import Session, TensorSpec
from npuface_runtime.errors import UserError, reason_of

__all__ = ["ENGINES", "Session", "TensorSpec", "open_session"]

ENGINES = ("litert", "onnxruntime", "openvino")
"""Names of the engines; each is the module of that name here, and the extra of npuface that installs it."""


def open_session(
    engine: str, files: Mapping[str, Path], threads: int = 1, outputs: Sequence[str] | None = None
) -> Session:
    """Open a model file with an engine.

    Args:
        engine: a name in ENGINES.
        files: by role: `model`, and `weights` where the format keeps them apart (OpenVINO).
        threads: CPU threads that the engine may use, at least 1.
        outputs: names of the wanted outputs, in the wanted order; all in the model's order without it.

    Raises:
        UserError: there is no such engine, it is not installed, or it cannot open the model.
    """
    if engine not in ENGINES:
        near = get_close_matches(engine, ENGINES, cutoff=0.4) or ENGINES
        raise UserError(
            f"unknown engine {engine!r}", f"the engines are {', '.join(ENGINES)}", f"use {' or '.join(near)}"
        )
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UserError(f"cannot use {threads!r} threads", "it is not a whole number from 1 up", "give for instance 1")
    for role in sorted({"model", *files}):
        if role not in files or not is_file(Path(files[role])):
            raise UserError(
                f"cannot open a model with {engine}", f"there is no {role} file {files.get(role, '')}", "check the path"
            )
    try:
        module = importlib.import_module(f"{__name__}.{engine}")
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError)
        why = "it is not installed" if absent else f"it is installed but does not load ({reason_of(error)})"
        raise UserError(f"cannot use the engine {engine}", why, f"pip install npuface[{engine}]") from error
    session: Session = module.open_model(files, threads, outputs)
    return session
