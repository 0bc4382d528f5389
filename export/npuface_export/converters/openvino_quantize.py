"""Quantize an OpenVINO model by NNCF: INT8 body, decode and wide layers by recipe."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nncf
import numpy as np
from nncf.quantization.advanced_parameters import OverflowFix
from numpy.typing import NDArray
from openvino import opset13

from npuface_export.converters.converter import ModelFiles
from npuface_export.converters.openvino_graph import dependent
from npuface_export.converters.recipe import Recipe, check_layers, check_recipe
from npuface_export.quiet import quiet_tools

_DECODES, _WIDE = ("float32", "int8"), ("float32",)
_WHY = "OpenVINO's CPU kernels are int8 and float32: there are none for 16-bit integers, and float16 is run as float32"
_CONVOLUTIONS = ("Convolution", "GroupConvolution")


class OpenVinoQuantizer:
    """An OpenVINO model, calibrated by NNCF (see converter.Quantizer).

    Weights are int8, symmetric, one scale a channel; activations are symmetric too (NNCF's "performance" preset: the
    faster one, and the more accurate one here). NNCF chooses the ranges and corrects the biases. A wide layer reads
    its input before it is rounded, and has its float weights and bias back.

    Weights use 7 of their 8 bits: x86 processors without VNNI sum products in 16 bits, which saturate (measured there
    on 60 faces: landmarks moved by 0.109 heatmap px and by up to 14, with the fix 0.048 and 0.44).
    """

    def __init__(
        self,
        model: Any,
        heatmaps: str,
        pictures: Sequence[NDArray[np.float32]],
        written: Callable[[Any, Path], ModelFiles],
    ) -> None:
        self._model, self._pictures, self._written = model, pictures, written
        self._decode = [node.get_friendly_name() for node in dependent(model, {heatmaps})]
        self._layers = _layers(model, set(self._decode))
        self.layers = tuple(self._layers)
        self._quantized: dict[str, Any] = {}

    def write(self, recipe: Recipe, folder: Path) -> ModelFiles:
        """Write `model.xml` and `model.bin` (see converter.Quantizer.write)."""
        check_recipe(recipe, _DECODES, _WIDE, _WHY)
        check_layers(recipe, self.layers)
        if recipe.decode not in self._quantized:
            self._quantized[recipe.decode] = self._quantize(self._decode if recipe.decode == "float32" else [])
        model = self._quantized[recipe.decode].clone()
        exact = _by_name(self._model)
        found = _by_name(model)
        for layer in recipe.wide:
            for name in self._layers[layer]:
                _restore(found[name], exact[name])
        model.validate_nodes_and_infer_types()
        return self._written(model, folder / "model.xml")

    def _quantize(self, kept: list[str]) -> Any:
        with quiet_tools():
            nncf.set_log_level(logging.ERROR)
            return nncf.quantize(
                self._model.clone(),
                nncf.Dataset(list(self._pictures)),
                preset=nncf.QuantizationPreset.PERFORMANCE,
                target_device=nncf.TargetDevice.CPU,
                subset_size=len(self._pictures),
                ignored_scope=nncf.IgnoredScope(names=kept),
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
            )


def _by_name(model: Any) -> dict[str, Any]:
    return {node.get_friendly_name(): node for node in model.get_ordered_ops()}


def _layers(model: Any, after: set[str]) -> dict[str, list[str]]:
    """Names of the body's layers and of the nodes of each: a convolution with its bias, or an operator of two inputs.

    A layer with weights is called as they are.
    """
    inputs = {node.get_friendly_name() for node in model.get_parameters()}
    body = [n for n in dependent(model, inputs) if n.get_friendly_name() not in after]
    live = {node.get_friendly_name() for node in body} | inputs
    layers: dict[str, list[str]] = {}
    biased: dict[str, str] = {}
    for node in body:
        name = node.get_friendly_name()
        sources = [value.get_node() for value in node.input_values()]
        if node.get_type_name() in _CONVOLUTIONS:
            layer = _weights(node).removesuffix(".weight")
            biased[name] = layer = name if layer in layers else layer
            layers[layer] = [name]
        elif node.get_type_name() == "Add" and (first := sources[0].get_friendly_name()) in biased:
            layers[biased[first]].append(name)
        elif node.get_type_name() in ("Add", "Concat") and all(s.get_friendly_name() in live for s in sources):
            layers[name] = [name]
    return layers


def _weights(convolution: Any) -> str:
    """The name of the constant that a convolution has its weights from."""
    node = convolution.input_value(1).get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return str(node.get_friendly_name())


def _restore(node: Any, exact: Any) -> None:
    """Let a node of the quantized model read what it read in the float model: unrounded inputs, float constants."""
    for i, value in enumerate(exact.input_values()):
        constant = _constant(value)
        if constant is not None:
            node.input(i).replace_source_output(opset13.constant(constant).output(0))
            continue
        while (source := node.input_value(i).get_node()).get_type_name() == "FakeQuantize":
            node.input(i).replace_source_output(source.input_value(0))


def _constant(value: Any) -> NDArray[np.float32] | None:
    """The values of a constant, which may be reshaped on its way; None where it is an activation."""
    node = value.get_node()
    while node.get_type_name() == "Reshape":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant":
        return None
    return np.asarray(node.data, np.float32).reshape(tuple(value.get_shape()))
