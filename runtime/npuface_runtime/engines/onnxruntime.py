"""ONNX files on ONNX Runtime's CPU provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

from npuface_runtime.engines.engine import Array, Session, TensorSpec, choose_outputs, only_input, unloadable

FAILURES: tuple[type[Exception], ...] = (
    *(v for v in vars(native).values() if isinstance(v, type) and issubclass(v, Exception)),
    UnicodeDecodeError,
)
"""ONNX Runtime's exceptions have no base of their own. A name in a damaged file is no UTF-8, nor is its message."""
ERRORS_ONLY = 3
_DTYPES = {"float": "float32", "double": "float64"}
"""ONNX's names of element types that differ from numpy's."""


def _spec(tensor: Any) -> TensorSpec:
    dtype = tensor.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(n if isinstance(n, int) else -1 for n in tensor.shape)
    return TensorSpec(tensor.name, shape, _DTYPES.get(dtype, dtype))


def open_model(files: Mapping[str, Path], threads: int, outputs: Sequence[str] | None) -> Session:
    """Open an ONNX file; see open_session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # idle threads that spin take a camera's cores from everything else, another session's threads included
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # x86 without VNNI sums uint8 x int8 in 16 bits, which saturate: landmarks moved by 0.17 heatmap px instead of 0.05
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        model = onnxruntime.InferenceSession(str(files["model"]), options, providers=["CPUExecutionProvider"])
        return session_of(model, files, outputs, f"ONNX Runtime {onnxruntime.__version__}, CPU, threads: {threads}")
    except FAILURES as error:
        raise unloadable("ONNX Runtime", files, error) from error


def session_of(model: Any, files: Mapping[str, Path], outputs: Sequence[str] | None, description: str) -> Session:
    """The session of an open ONNX Runtime model, on whatever it was opened; see open_session for the outputs."""
    picture = _spec(only_input(model.get_inputs(), files))
    every = [_spec(tensor) for tensor in model.get_outputs()]
    chosen = [every[i] for i in choose_outputs([{spec.name} for spec in every], outputs, files)]
    names = [spec.name for spec in chosen]

    def infer(value: Array) -> list[Array]:
        results: list[Array] = model.run(names, {picture.name: value})
        return results

    return Session(description, picture, chosen, infer, FAILURES)
