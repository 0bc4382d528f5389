"""onnxruntime: torch -> ONNX, and QDQ INT8 by onnxruntime's static quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from npuface_export.converters.converter import ModelFiles, Quantizer, check_heatmaps, check_pictures
from npuface_export.converters.onnx_graph import (
    HEATMAPS,
    PICTURES,
    append,
    cut_at,
    export_onnx,
    load_onnx,
    operator_counts,
    save_onnx,
    shape_of,
    tensor_info,
)
from npuface_export.converters.recipe import Recipe
from npuface_runtime.geometry import Shape

if TYPE_CHECKING:
    from npuface_export.converters.onnx_quantize import QdqStyle

_FILE = "model.onnx"


class OnnxRuntime:
    """Converter to ONNX for onnxruntime's CPU provider (see converter.Converter).

    INT8 models keep a float32 input and output, quantized and dequantized inside.
    """

    engine = "onnxruntime"
    safe_recipe = Recipe(decode="float32")
    wide_moments_only = False
    tools = ("onnx", "onnxsim", "onnxruntime")

    def convert(
        self, network: nn.Module, decode: nn.Module, shape: Shape, folder: Path, channels: int = 3
    ) -> ModelFiles:
        """Write the float model `model.onnx` (see converter.Converter.convert)."""
        return written_onnx(torch_to_onnx(network, decode, shape, channels), folder / _FILE)

    def describe(self, files: Mapping[str, Path], heatmap: tuple[int, int, int]) -> ModelFiles:
        """Read a model back (see converter.Converter.describe)."""
        model = load_onnx(files["model"])
        check_heatmaps(files["model"], shape_of(model, HEATMAPS), heatmap)
        return _files(model, files["model"])

    def quantizer(self, source: ModelFiles, pictures: Sequence[NDArray[np.float32]]) -> Quantizer:
        """Calibrate (see converter.Converter.quantizer)."""
        from npuface_export.converters.onnx_quantize import OnnxQuantizer  # its tools take seconds to import

        check_pictures(pictures)
        return OnnxQuantizer(self.prepared(load_onnx(source.files["model"])), pictures, written_onnx, self.style())

    def prepared(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The float model as it is quantized."""
        return model

    def style(self) -> QdqStyle:
        """How it is quantized for what reads it."""
        from npuface_export.converters.onnx_quantize import QdqStyle

        return QdqStyle(
            decodes=("float32", "float16", "int16", "int8"),
            why="onnxruntime's CPU kernels for a network are int8 and float32; "
            "16 bits it has for a decode, emulated in float",
            casts_half=True,
        )

    def cut(self, source: ModelFiles, folder: Path) -> ModelFiles:
        """Write the same network ending at its heatmaps, as `heatmaps.onnx`; in INT8 they leave in 8 bits."""
        model = load_onnx(source.files["model"])
        tensor = _quantized_heatmaps(model)
        return written_onnx(cut_at(model, tensor), folder / "heatmaps.onnx", tensor)


def _quantized_heatmaps(model: onnx.ModelProto) -> str:
    """The heatmaps in 8 bits where the model has them: between QuantizeLinear and DequantizeLinear."""
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and HEATMAPS in node.input:
            return str(node.output[0])
        if node.op_type == "DequantizeLinear" and HEATMAPS in node.output:
            return str(node.input[0])
    return HEATMAPS


def torch_to_onnx(network: nn.Module, decode: nn.Module, shape: Shape, channels: int = 3) -> onnx.ModelProto:
    """`pictures` [1, channels, H, W] -> `heatmaps` -> the decode's output, as one checked ONNX model."""
    noise = np.random.default_rng(0).random((1, channels, *shape), np.float32)  # no mask is below zero
    return append(export_onnx(network, noise, PICTURES, HEATMAPS), decode)


def written_onnx(model: onnx.ModelProto, path: Path, heatmap: str = HEATMAPS) -> ModelFiles:
    """Write a model, and describe it."""
    save_onnx(model, path)
    return _files(model, path, heatmap)


def _files(model: onnx.ModelProto, path: Path, heatmap: str = HEATMAPS) -> ModelFiles:
    outputs = tuple(tensor_info(model, value.name) for value in model.graph.output)
    picture = tensor_info(model, model.graph.input[0].name)
    return ModelFiles({"model": path}, picture, outputs, heatmap, operator_counts(model))


CONVERTER = OnnxRuntime()
