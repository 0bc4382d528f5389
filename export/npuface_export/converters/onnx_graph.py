"""ONNX graphs: torch -> ONNX, a decode behind any heatmap tensor, the cut in front of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import compose, helper, numpy_helper, shape_inference, utils, version_converter
from onnxsim import simplify
from torch import nn

from npuface_export.decode import DecodeForm, HeatmapSpec
from npuface_export.quiet import quiet_tools
from npuface_runtime.errors import UserError, reason_of
from npuface_runtime.manifest import TensorInfo

OPSET = 18
"""Of the models made here: the oldest that torch's exporter writes without converting."""
PICTURES, HEATMAPS, DECODED = "pictures", "heatmaps", "decoded"
_PREFIX = "decode/"
_TOLERANCE = 1e-5
"""Between torch and onnxruntime, over the largest absolute value: float32 sums in another order."""


def export_onnx(module: nn.Module, example: NDArray[np.float32], input_name: str, output_name: str) -> onnx.ModelProto:
    """A torch module with one input and one output, as a simplified ONNX model of fixed shape, checked.

    Args:
        module: in evaluation mode.
        example: an input, which gives the shape; the parity with torch is asserted on it.

    Raises:
        UserError: the ONNX model does not compute what the torch module does (1e-5 of the largest value).
    """
    tensor = torch.from_numpy(example)
    with quiet_tools(), torch.no_grad():
        program = torch.onnx.export(
            module, (tensor,), input_names=[input_name], output_names=[output_name], opset_version=OPSET, verbose=False
        )
        assert program is not None  # None is the legacy exporter's answer
        model = _cleaned(_simplified(program.model_proto))
        # In float64: torch's own kernels lose what comes after the peak in a float32 sum over a whole map.
        expected = deepcopy(module).double()(tensor.double()).float().numpy()
    _assert_parity(model, {input_name: example}, expected)
    return model


def attach_decode(
    model: onnx.ModelProto, form: DecodeForm, spec: HeatmapSpec, tensor: str = HEATMAPS
) -> onnx.ModelProto:
    """Any ONNX model with heatmaps -> the same network, followed by a decode form, which is its only output.

    Args:
        model: with a tensor of that name of shape [1, K, H, W], anywhere in its graph.
        form, spec: the decode; what follows the heatmaps in `model` is dropped.

    Returns:
        A model in which the heatmaps are called `heatmaps` and the output `decoded` (the form that leaves
        the decode to the host ends at `heatmaps`).

    Raises:
        UserError: there is no such tensor, or it does not have the spec's shape.
    """
    found, wanted = shape_of(model, tensor), (1, spec.points, spec.height, spec.width)
    if found != wanted:
        raise UserError(
            "cannot attach the decode", f"the heatmaps have shape {found}, the decode takes {wanted}", "check the spec"
        )
    return append(model, form.build(spec), tensor)


def append(model: onnx.ModelProto, decode: nn.Module, tensor: str = HEATMAPS) -> onnx.ModelProto:
    """Put a torch module behind a tensor of an ONNX model; see attach_decode."""
    network = _renamed(cut_at(model, tensor), tensor, HEATMAPS)
    if isinstance(decode, nn.Identity):
        return network
    example = np.random.default_rng(0).random(shape_of(network, HEATMAPS), np.float32)
    tail = compose.add_prefix(export_onnx(decode, example, "maps", DECODED), _PREFIX)
    network, tail = _alike(network, tail)
    merged = compose.merge_models(network, tail, [(HEATMAPS, _PREFIX + "maps")])
    opset = {entry.domain: entry.version for entry in (*network.opset_import, *tail.opset_import)}
    del merged.opset_import[:]
    merged.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in opset.items())
    return _cleaned(_renamed(merged, _PREFIX + DECODED, DECODED))


def cut_at(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """The part of a model that computes one tensor, which becomes its only output.

    Raises:
        UserError: there is no such tensor.
    """
    shape_of(model, tensor)
    inputs = [value.name for value in model.graph.input]
    part = utils.Extractor(shape_inference.infer_shapes(model)).extract_model(inputs, [tensor])
    part.ir_version = model.ir_version
    return part


def shape_of(model: onnx.ModelProto, tensor: str) -> tuple[int, ...]:
    """The fixed shape of a tensor of the graph.

    Raises:
        UserError: there is no such tensor, or its shape is not fixed.
    """
    info = _values(model).get(tensor)
    if info is None:
        made = [name for node in model.graph.node[-3:] for name in node.output]
        raise UserError(
            f"cannot find the heatmaps {tensor!r}",
            "the model has no such tensor",
            f"its last ones are {', '.join(made)}",
        )
    dims = info.type.tensor_type.shape.dim
    if not dims or any(d.dim_value < 1 for d in dims):
        raise UserError(
            f"cannot use the tensor {tensor!r}", "its shape is not fixed", "export the model with fixed shapes"
        )
    return tuple(d.dim_value for d in dims)


def tensor_info(model: onnx.ModelProto, name: str) -> TensorInfo:
    """What the manifest says of a tensor, with scale and zero point where it is one that QuantizeLinear makes, or that
    DequantizeLinear reads as the model's input.
    """
    element = _values(model)[name].type.tensor_type.elem_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(element)).name
    scale, zero_point = None, None
    is_input = name in {value.name for value in model.graph.input}
    for node in model.graph.node:
        makes = name in node.output and node.op_type == "QuantizeLinear"
        if makes or (is_input and name in node.input and node.op_type == "DequantizeLinear"):
            constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
            scale, zero_point = float(constants[node.input[1]]), int(constants[node.input[2]])
    return TensorInfo(name, shape_of(model, name), dtype, "NCHW", scale, zero_point)


def operator_counts(model: onnx.ModelProto) -> Mapping[str, int]:
    """How often each operator works on what comes from the input; what works on constants does not count."""
    live = {value.name for value in model.graph.input}
    counts: Counter[str] = Counter()
    for node in model.graph.node:
        if live.intersection(node.input):
            live.update(node.output)
            counts[node.op_type] += 1
    return dict(counts)


def downstream(model: onnx.ModelProto, tensor: str) -> list[str]:
    """Names of the nodes that depend on a tensor."""
    live, names = {tensor}, []
    for node in model.graph.node:
        if live.intersection(node.input):
            live.update(node.output)
            names.append(node.name)
    return names


def save_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Write a model in one file."""
    path.write_bytes(model.SerializeToString())


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read a model and infer its shapes.

    Raises:
        UserError: the file is no ONNX model.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
        return shape_inference.infer_shapes(model)
    except (DecodeError, onnx.checker.ValidationError, shape_inference.InferenceError) as error:
        raise UserError(
            f"cannot read {path.name}", f"it is no ONNX model ({reason_of(error)})", "export it again"
        ) from None


def _values(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    graph = shape_inference.infer_shapes(model).graph
    return {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}


def _alike(network: onnx.ModelProto, tail: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Both in the newer of their operator sets and file versions, as merging asks."""
    versions = [next(e.version for e in m.opset_import if e.domain in ("", "ai.onnx")) for m in (network, tail)]
    newest, ir = max(versions), max(network.ir_version, tail.ir_version)
    pair = [
        version_converter.convert_version(model, newest) if version < newest else model
        for model, version in zip((network, tail), versions, strict=True)
    ]
    for model in pair:
        model.ir_version = ir
    return pair[0], pair[1]


def _renamed(model: onnx.ModelProto, old: str, new: str) -> onnx.ModelProto:
    if old == new:
        return model
    renamed = onnx.ModelProto()
    renamed.CopyFrom(model)
    for node in renamed.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*renamed.graph.output, *renamed.graph.value_info):
        value.name = new if value.name == old else value.name
    return renamed


def _simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    simple, same = simplify(model)
    if not same:
        raise UserError(
            "cannot simplify the ONNX model", "the result computes something else", "use another version of onnxsim"
        )
    return simple


def _cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Checked, with its shapes inferred, and without notes on where and how it was made.

    A merged model is not simplified once more: that would fold what the decode multiplies by into the
    network, and the heatmaps would be gone.
    """
    graph = model.graph
    graph.name = "network"
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    model = shape_inference.infer_shapes(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _assert_parity(
    model: onnx.ModelProto, feed: Mapping[str, NDArray[np.float32]], expected: NDArray[np.float32]
) -> None:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, feed)
    difference = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
    if not difference <= _TOLERANCE:
        raise UserError(
            "the ONNX model is not the torch network",
            f"their outputs differ by {difference:.1e} of the largest value, over {_TOLERANCE:.0e}",
            "use other versions of torch and onnx",
        )
