"""OpenVINO IR (and ONNX) files on OpenVINO's CPU plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from npuface_runtime.engines.engine import Array, Session, TensorSpec, choose_outputs, only_input, unloadable
from npuface_runtime.errors import UserError


def _spec(port: Any) -> TensorSpec:
    shape = tuple(-1 if n.is_dynamic else n.get_length() for n in port.get_partial_shape())
    dtype = np.dtype(port.get_element_type().to_dtype()).name
    return TensorSpec(min(port.get_names(), default=""), shape, dtype)


def open_model(files: Mapping[str, Path], threads: int, outputs: Sequence[str] | None) -> Session:
    """Open a model file, with its weights where `files` names them; see open_session.

    Float operators run in float32, never in the bfloat16 or float16 that some CPUs would choose, and
    quantized ones in INT8. Nothing is cached on disk.
    """
    config = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    core = openvino.Core()
    try:
        compiled = core.compile_model(read_model(core, files), "CPU", config)
    except RuntimeError as error:
        raise unloadable("OpenVINO", files, error) from error
    return session_of(compiled, files, outputs, f"CPU in float32, threads: {threads}")


def read_model(core: Any, files: Mapping[str, Path]) -> Any:
    """Read a model file, with its weights where `files` names them. Raises OpenVINO's RuntimeError."""
    return core.read_model(*(str(files[role]) for role in ("model", "weights") if role in files))


def session_of(compiled: Any, files: Mapping[str, Path], outputs: Sequence[str] | None, where: str) -> Session:
    """The session of a model that OpenVINO has compiled; `where` it runs is for people.

    Raises:
        UserError: the model has several inputs, one of free shape, or no such outputs.
    """
    picture = _spec(only_input(compiled.inputs, files))
    if -1 in picture.shape:
        raise UserError(
            f"cannot use {files['model']}",
            f"its input has a free dimension, {picture.shape}: on one thread OpenVINO answers a shape that does not "
            "fit with the results of the run before",
            "export it with a fixed shape",
        )
    ports = [compiled.outputs[i] for i in choose_outputs([p.get_names() for p in compiled.outputs], outputs, files)]
    request = compiled.create_infer_request()

    def infer(value: Array) -> list[Array]:
        results = request.infer([value], share_inputs=True)
        return [results[port] for port in ports]

    description = f"OpenVINO {openvino.__version__.split('-')[0]}, {where}"
    return Session(description, picture, [_spec(port) for port in ports], infer, (RuntimeError,))
