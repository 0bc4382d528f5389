"""An ONNX file from elsewhere -> a graph of fixed shapes for one picture, everything about it checked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper, numpy_helper, shape_inference
from onnxsim import simplify

from npuface_export.foreign.fused_conv import without_vendor_operators
from npuface_export.foreign.graph import Graph, graph_of
from npuface_export.foreign.hard_swish import with_hard_activations
from npuface_export.quiet import quiet_tools
from npuface_runtime.errors import UserError, reason_of
from npuface_runtime.manifest_parts import MAX_ELEMENTS, MAX_SIDE

OLDEST, NEWEST = 8, 21
"""Operator sets that are read and tested."""
MAX_BYTES = 1 << 30
"""Of the file and its external data; a face network has a hundredth of it."""
_FOLDED = "256MB"
"""Size of a tensor up to which what does not depend on the picture is computed beforehand."""


@dataclass(frozen=True)
class ForeignModel:
    """A third-party model.

    Attributes:
        original: as the file holds it, its batch fixed to 1: what parity is measured against.
        graph: the same in standard operators, with what does not depend on the picture computed beforehand.
        input_shape: height and width of its input.
        is_nchw: whether its input is [1, 3, H, W]; [1, H, W, 3] if not.
    """

    original: onnx.ModelProto
    graph: Graph
    input_shape: tuple[int, int]
    is_nchw: bool


def read_foreign(path: Path) -> ForeignModel:
    """Read a model.

    Raises:
        UserError: the file is missing, too large, damaged or reaches out of its folder; its operator set, its
            input or a shape cannot be used; it has vendor operators; a weight is not finite.
    """
    original = _load(path)
    _check_opset(path, original)
    input_shape, is_nchw = _fix_input(path, original)
    standard = without_vendor_operators(original)
    try:
        onnx.checker.check_model(standard)
        _check_sizes(path, shape_inference.infer_shapes(standard, data_prop=True))
        with quiet_tools():
            # its optimiser is left out: it would fold the beta behind a convolution into that convolution
            simple, same = simplify(standard, perform_optimization=False, tensor_size_threshold=_FOLDED)
        inferred = shape_inference.infer_shapes(simple, strict_mode=True)
    except (onnx.checker.ValidationError, shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise _damaged(path, reason_of(error)) from None
    if not same:
        raise _damaged(path, "computing its constants beforehand changes its result")
    _check_weights(path, inferred)
    _check_shapes(path, inferred)
    _check_sizes(path, inferred)
    return ForeignModel(original, with_hard_activations(graph_of(inferred)), input_shape, is_nchw)


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise UserError(f"cannot open {path}", "there is no such file", "give an ONNX file")
    if path.stat().st_size > MAX_BYTES:
        raise _too_large(path)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError as error:
        raise _damaged(path, reason_of(error)) from None
    if not model.graph.node:
        raise _damaged(path, "there is no graph in it")
    _load_external(path, model)
    return model


def _load_external(path: Path, model: onnx.ModelProto) -> None:
    """Take in the weights that lie in files beside the model, none of them from outside its folder."""
    folder, total = path.parent.resolve(), 0
    for tensor in _tensors(model):
        if not external_data_helper.uses_external_data(tensor):
            continue
        info = external_data_helper.ExternalDataInfo(tensor)
        file = path.parent / info.location
        if Path(info.location).is_absolute() or folder not in file.resolve().parents:
            what, why = f"cannot open {path}", f"the weights of {tensor.name!r} lie outside its folder: {info.location}"
            raise UserError(what, why, "put them beside the model")
        if not file.is_file():
            raise UserError(f"cannot open {path}", f"its weights {info.location} are missing", "put them beside it")
        total += info.length or file.stat().st_size
        if total > MAX_BYTES:
            raise _too_large(path)
    try:
        external_data_helper.load_external_data_for_model(model, str(folder))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise _damaged(path, reason_of(error)) from None


def _tensors(model: onnx.ModelProto) -> Iterable[TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))


def _check_opset(path: Path, model: onnx.ModelProto) -> None:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or not OLDEST <= versions[0] <= NEWEST:
        found = versions[0] if versions else "none"
        why = f"its ONNX operator set is {found}, {OLDEST} to {NEWEST} are read"
        raise UserError(f"cannot use {path}", why, f"export it with opset_version={min(18, NEWEST)}")


def _fix_input(path: Path, model: onnx.ModelProto) -> tuple[tuple[int, int], bool]:
    """Give the batch the size 1 where it is left open; (height, width) of the only input, and whether it is NCHW."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    what = f"cannot use {path}"
    if len(inputs) != 1:
        why = f"it has {len(inputs)} inputs: {', '.join(value.name for value in inputs)}"
        raise UserError(what, why, "give a model that takes one picture")
    tensor = inputs[0].type.tensor_type
    dims = tensor.shape.dim
    shown = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims]
    if tensor.elem_type != TensorProto.FLOAT or len(dims) != 4:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise UserError(what, f"its input is {kind} {shown}", "give a model that takes float pictures [1, 3, H, W]")
    if not dims[0].HasField("dim_value") or dims[0].dim_value < 1:
        _fix_batch(model, dims[0].dim_param)
        dims[0].dim_value = 1
    if dims[0].dim_value != 1:
        raise UserError(what, f"its batch is {dims[0].dim_value}", "export it for one picture at a time")
    sizes = [d.dim_value for d in dims]
    if min(sizes) < 1:
        raise UserError(what, f"the shape of its input is not fixed: {shown}", "export it with fixed height and width")
    if 3 not in (sizes[1], sizes[3]) or max(sizes) > MAX_SIDE:
        raise UserError(what, f"its input {shown} is no RGB picture", "give a model that takes pictures [1, 3, H, W]")
    is_nchw = sizes[1] == 3
    return (sizes[2], sizes[3]) if is_nchw else (sizes[1], sizes[2]), is_nchw


def _fix_batch(model: onnx.ModelProto, name: str) -> None:
    """Inner shapes that the file notes with an open batch are forgotten: they are worked out again."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            if name and dim.dim_param == name:
                dim.dim_value = 1


def _check_weights(path: Path, model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            bad = "NaN" if np.isnan(array).any() else "infinite"
            raise UserError(f"cannot use {path}", f"a weight in {tensor.name!r} is {bad}", "train or export it again")


def _check_sizes(path: Path, model: onnx.ModelProto) -> None:
    """Refuse a tensor that would take gigabytes, before anything is computed: a few hundred bytes can ask for any size
    with ConstantOfShape, Expand or Tile.
    """
    for value in model.graph.value_info:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if math.prod(shape) > MAX_ELEMENTS:
            why = f"{value.name!r} in it has the shape {shape}, over {MAX_ELEMENTS} numbers"
            raise UserError(f"cannot use {path}", why, "give a face landmark network")


def _check_shapes(path: Path, model: onnx.ModelProto) -> None:
    known = {value.name: value for value in (*model.graph.value_info, *model.graph.output)}
    for node in model.graph.node:
        for name in filter(None, node.output):
            dims = known[name].type.tensor_type.shape.dim if name in known else None
            if dims is None or any(not d.HasField("dim_value") or d.dim_value < 1 for d in dims):
                raise UserError(
                    f"cannot use {path}",
                    f"the shape of {name!r}, made by {node.op_type}, is not fixed",
                    "export the model with fixed shapes",
                )


def _too_large(path: Path) -> UserError:
    return UserError(f"cannot open {path}", f"it is larger than {MAX_BYTES} bytes", "give a face landmark network")


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"cannot read {path}", f"it is no sound ONNX model ({why})", "export or copy it again")
