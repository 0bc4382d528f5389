"""The torch module of a third-party network up to its maps, proven against the file it came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from npuface_export.foreign.heads import Head
from npuface_export.foreign.onnx_module import OnnxModule
from npuface_export.foreign.read import ForeignModel
from npuface_runtime.errors import UserError, reason_of

TOLERANCE = 1e-4
"""Between torch and onnxruntime on the original file, over the largest absolute value: float32 sums in other orders."""
_PICTURES = 3


class Body(nn.Module):
    """Pictures NCHW -> what the decode takes, whatever the layout of the model's input."""

    def __init__(self, network: OnnxModule, assemble: nn.Module, is_nchw: bool) -> None:
        super().__init__()
        self.network, self.assemble, self.is_nchw = network, assemble, is_nchw

    def forward(self, pictures: Tensor) -> Tensor:
        """[1, 3, H, W] -> HeatmapSpec.input_shape."""
        leaving = self.network(pictures if self.is_nchw else pictures.permute(0, 2, 3, 1))
        made: Tensor = self.assemble(*(leaving if isinstance(leaving, tuple) else (leaving,)))
        return made


def body_of(model: ForeignModel, head: Head) -> Body:
    """The network of a model up to a head.

    Raises:
        UserError: an operator is unknown, or torch does not compute what onnxruntime makes of the original.
    """
    part = model.graph.between(model.graph.inputs, head.tensors)
    graph = OnnxModule(part).eval()
    assert_parity(model, head.tensors, graph)
    return Body(graph, head.assemble, model.is_nchw).eval()


def assert_parity(model: ForeignModel, tensors: Sequence[str], graph: OnnxModule) -> None:
    """Compare what leaves `graph`, the named tensors, with the file as it was given, vendor operators and all.

    Raises:
        UserError: they differ by more than TOLERANCE on noise, or onnxruntime does not open the file.
    """
    inner = onnx.ModelProto()
    inner.CopyFrom(model.original)
    known = {name for node in inner.graph.node for name in node.output}
    gone = [name for name in tensors if name not in known]
    if gone:
        raise UserError("cannot prove the network", f"the original has no tensor {gone[0]!r}", "name another tensor")
    del inner.graph.output[:]
    inner.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors)
    try:
        session = onnxruntime.InferenceSession(inner.SerializeToString(), providers=["CPUExecutionProvider"])
    except (RuntimeError, onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument) as error:
        why = f"onnxruntime does not open the original ({reason_of(error)})"
        raise UserError("cannot prove the network", why, "export the model again") from None
    rng = np.random.default_rng(0)
    for _ in range(_PICTURES):
        picture = rng.standard_normal(model.graph.shape(model.graph.inputs[0])).astype(np.float32)
        expected = session.run(None, {model.graph.inputs[0]: picture})
        with torch.no_grad():
            found = graph(torch.from_numpy(picture))
        made = found if isinstance(found, tuple) else (found,)
        for name, ours, theirs in zip(tensors, made, expected, strict=True):
            difference = float(np.abs(ours.numpy() - theirs).max() / max(np.abs(theirs).max(), 1e-12))
            if not difference <= TOLERANCE:
                why = f"{name!r} differs by {difference:.1e} of the largest value, over {TOLERANCE:.0e}"
                raise UserError("the torch network is not the model", why, "report the model's operators")
