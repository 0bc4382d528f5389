"""rknn: QDQ ONNX for Rockchip's NPUs, as RKNN-Toolkit2 takes it: it keeps the ranges that it finds there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from npuface_export.converters.converter import ModelFiles, Quantizer, check_pictures
from npuface_export.converters.onnx_graph import load_onnx
from npuface_export.converters.onnxruntime import OnnxRuntime, written_onnx
from npuface_export.converters.recipe import Recipe


class Rknn(OnnxRuntime):
    """Converter to QDQ ONNX for Rockchip's NPUs (see converter.Converter); onnxruntime's CPU provider stands in.

    The toolkit makes float16 of what stays in float. It reads no 16-bit QuantizeLinear: those begin with opset 21.
    """

    safe_recipe = Recipe(decode="float16")

    def quantizer(self, source: ModelFiles, pictures: Sequence[NDArray[np.float32]]) -> Quantizer:
        """Calibrate (see converter.Converter.quantizer)."""
        from npuface_export.converters import onnx_quantize  # its tools take seconds to import

        check_pictures(pictures)
        style = onnx_quantize.QdqStyle(
            decodes=("float16", "float32", "int8"),
            why="Rockchip's toolkit takes int8 from a quantized ONNX model, and makes float16 of what stays in float",
        )
        return onnx_quantize.OnnxQuantizer(load_onnx(source.files["model"]), pictures, written_onnx, style)


CONVERTER = Rknn()
