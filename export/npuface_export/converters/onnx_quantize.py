"""Quantize an ONNX model: QDQ INT8 body, decode and wide layers by recipe, in the style of what will read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper, version_converter
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from npuface_export.converters.converter import ModelFiles
from npuface_export.converters.onnx_ends import integer_ends
from npuface_export.converters.onnx_float import left_in_float
from npuface_export.converters.onnx_graph import HEATMAPS, PICTURES, downstream
from npuface_export.converters.onnx_one_type import one_type
from npuface_export.converters.ranges import Observer, Range, mirrored
from npuface_export.converters.recipe import Recipe, check_layers, check_recipe
from npuface_export.quiet import quiet_tools

_WIDE = ("float32",)
_FOLLOWERS = ("Clip", "Relu", "Reshape", "Transpose", "Resize", "MaxPool", "Pad", "Flatten", "Identity")
"""Operators that compute nothing new: they are part of the layer that makes what they read."""
_LEFT_OUT = ("Sub",)
"""Operators that onnxruntime's quantizer leaves in float unless it is told to."""
_OPSET_16_BIT = 21
"""The first with QuantizeLinear to 16 bits."""
_HEADROOM = 1.5
"""Range of 16-bit values over the largest seen, as for the moments in LiteRT."""
_HALF = "/float16"
_BYTES = (0.0, 255.0)
"""Range of a picture that was not normalised: a byte and its 8-bit value are the same."""


@dataclass(frozen=True)
class QdqStyle:
    """What differs between those who read QDQ models.

    Attributes:
        decodes: types that the decode can have there, the same in which a recipe names them.
        why: the reason of a refusal.
        wide: the 16-bit type of a decode: signed and symmetric, or unsigned.
        casts_half: whether a float16 decode stands in the file; if not, the reader makes it of what stays in float.
        integer_ends: whether the picture enters and the results leave as the integers that they are quantized to.
        one_type: whether an operator must not mix types of 8 and 16 bits.
    """

    decodes: tuple[str, ...]
    why: str
    wide: Any = QuantType.QInt16
    casts_half: bool = False
    integer_ends: bool = False
    one_type: bool = False


class OnnxQuantizer:
    """An ONNX model and what its activations were on the calibration pictures (see converter.Quantizer).

    Weights are int8, symmetric, one scale a channel. Activations are uint8: onnxruntime's x86 kernels want them
    unsigned (measured: less than half the time of int8, the same accuracy), and its ARM kernels take both.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        pictures: Sequence[NDArray[np.float32]],
        written: Callable[[onnx.ModelProto, Path], ModelFiles],
        style: QdqStyle,
    ) -> None:
        self._model, self._written, self._style = _unshared(model), written, style
        self._decode = downstream(model, HEATMAPS)
        self._nodes = _layers(model, self._decode)
        self.layers = tuple(self._nodes)
        self._ranges = self._observed(pictures)

    def write(self, recipe: Recipe, folder: Path) -> ModelFiles:
        """Write `model.onnx` (see converter.Quantizer.write)."""
        check_recipe(recipe, self._style.decodes, _WIDE, self._style.why)
        check_layers(recipe, self.layers)
        kept = [node for layer in recipe.wide for node in self._nodes[layer]]
        if recipe.decode in ("float32", "float16"):
            kept += self._decode
        model, ranges, overrides = _copy(self._model), self._ranges, {}
        if recipe.decode == "int16":
            model = version_converter.convert_version(model, _OPSET_16_BIT)
            made, symmetric = self._made_by_decode(), self._style.wide == QuantType.QInt16
            ranges = ranges | {name: self._widened(name, symmetric) for name in made}
            overrides = {name: [{"quant_type": self._style.wide, "symmetric": symmetric}] for name in made}
        with quiet_tools():
            quantized = _qdq(model, ranges, kept, overrides, _LEFT_OUT if self._style.one_type else ())
            left = left_in_float(quantized, set(kept))
            if recipe.decode == "float16" and self._style.casts_half:
                quantized = _half(quantized, self._decode)
            if self._style.one_type:
                quantized = one_type(quantized)
            if self._style.integer_ends or ranges[PICTURES] == _BYTES:
                quantized = integer_ends(quantized, outputs=self._style.integer_ends)
        return replace(self._written(quantized, folder / "model.onnx"), left_in_float=left)

    def _widened(self, name: str, symmetric: bool) -> Range:
        """The range of a 16-bit tensor."""
        low, high = mirrored(self._ranges, [name], 1.0)[name] if symmetric else self._ranges[name]
        return low * _HEADROOM, high * _HEADROOM

    def _made_by_decode(self) -> list[str]:
        return [name for node in self._model.graph.node if node.name in self._decode for name in node.output]

    def _observed(self, pictures: Sequence[NDArray[np.float32]]) -> dict[str, Range]:
        """Ranges of all activations; those of the picture, the heatmaps and the decode reach to all that was seen."""
        observer = Observer()
        names = [name for node in self._model.graph.node for name in node.output]
        session = _session(self._model, names)
        for picture in pictures:
            observer.see(PICTURES, picture)
            for name, values in zip(names, session.run(names, {PICTURES: picture}), strict=True):
                observer.see(name, values)
        return observer.ranges(whole=[PICTURES, HEATMAPS, *self._made_by_decode()])


def _layers(model: onnx.ModelProto, decode: Iterable[str]) -> dict[str, list[str]]:
    """Names of the body's layers, and of the nodes that make each; a layer is called as its weights are."""
    constants, after = {tensor.name for tensor in model.graph.initializer}, set(decode)
    made_by: dict[str, str] = {}
    layers: dict[str, list[str]] = {}
    live = {PICTURES}
    for node in model.graph.node:
        if node.name in after or not live.intersection(node.input):
            continue
        live.update(node.output)
        follows = node.op_type in _FOLLOWERS
        layer = made_by.get(node.input[0]) if follows else None
        if layer is None and follows:
            continue  # it works on the picture
        if layer is None:
            weights = [name for name in node.input if name in constants]
            layer = weights[0].removesuffix(".weight") if weights else node.name
            layer = node.name if layer in layers else layer
            layers[layer] = []
        layers[layer].append(node.name)
        made_by |= dict.fromkeys(node.output, layer)
    return layers


def _session(model: onnx.ModelProto, outputs: Sequence[str]) -> Any:
    """The model with other outputs; not optimised, so that every activation is there."""
    watched = _copy(model)
    del watched.graph.output[:]
    watched.graph.output.extend(helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in outputs)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _qdq(
    model: onnx.ModelProto,
    ranges: dict[str, Range],
    kept: list[str],
    overrides: dict[str, list[dict[str, Any]]],
    more: tuple[str, ...],
) -> onnx.ModelProto:
    """The model with QuantizeLinear and DequantizeLinear around every operator that is not `kept`."""
    seen = {name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()}
    tool = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, seen),
        nodes_to_quantize=[],
        nodes_to_exclude=kept,
        op_types_to_quantize=sorted({*QLinearOpsRegistry, *QDQRegistry, *more}),
        extra_options={"WeightSymmetric": True, "ActivationSymmetric": False, "TensorQuantOverrides": overrides},
    )
    tool.quantize_model()
    tool.model.topological_sort()
    quantized: onnx.ModelProto = tool.model.model
    return quantized


def _half(model: onnx.ModelProto, decode: Iterable[str]) -> onnx.ModelProto:
    """The model with its last nodes, the named ones, in float16 between casts; onnxruntime casts where it must."""
    after, graph = set(decode), model.graph
    nodes = [node for node in graph.node if node.name in after]
    others = [node for node in graph.node if node.name not in after]
    made = {name for node in nodes for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    read = dict.fromkeys(name for node in nodes for name in node.input if name and name not in made)
    halves = {name: f"{name}{_HALF}" for name in (*read, *(value.name for value in graph.output))}
    casts = []
    for name in read:
        if name not in constants:
            casts.append(helper.make_node("Cast", [name], [halves[name]], to=onnx.TensorProto.FLOAT16))
        elif constants[name].data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(constants[name]).astype(np.float16)
            graph.initializer.append(numpy_helper.from_array(values, halves[name]))
        else:
            del halves[name]
    for node in nodes:
        node.input[:] = [halves.get(name, name) for name in node.input]
        node.output[:] = [halves.get(name, name) for name in node.output]
    back = [
        helper.make_node("Cast", [halves[value.name]], [value.name], to=onnx.TensorProto.FLOAT)
        for value in graph.output
    ]
    del graph.node[:]
    graph.node.extend([*others, *casts, *nodes, *back])
    known = [value for value in graph.value_info if value.name not in made]
    del graph.value_info[:]
    graph.value_info.extend(known)
    return model


def _unshared(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with weights of its own for every convolution: where two share them, ONNX Runtime's conversion of INT8
    weights for CPUs without VNNI fails.
    """
    model, taken = _copy(model), set()
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        weights = node.input[1] if node.op_type == "Conv" else ""
        if weights not in constants:
            continue
        if weights in taken:
            own = model.graph.initializer.add()
            own.CopyFrom(constants[weights])
            own.name = f"{node.name}/{weights}"
            node.input[1] = own.name
        taken.add(weights)
    return model


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
