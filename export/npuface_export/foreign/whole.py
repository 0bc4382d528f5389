"""An ONNX file as one torch module, decode and all, for vendors' tools that start from torch."""

from __future__ import annotations

from pathlib import Path

from npuface_export.foreign.body import assert_parity
from npuface_export.foreign.onnx_module import OnnxModule
from npuface_export.foreign.read import read_foreign


def whole_module(path: Path) -> OnnxModule:
    """The module of a float ONNX model, in evaluation mode, proven against onnxruntime on noise.

    Raises:
        UserError: see read_foreign; an operator is unknown, or torch does not compute what onnxruntime does.
    """
    model = read_foreign(path)
    module = OnnxModule(model.graph).eval()
    assert_parity(model, model.graph.outputs, module)
    return module
