"""rknn: QDQ ONNX for Rockchip's NPUs, as RKNN-Toolkit2 takes it: it keeps the ranges that it finds there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from npuface_export.converters.converter import ModelFiles, Quantizer, check_pictures
from npuface_export.converters.onnx_graph import load_onnx
from npuface_export.converters.onnx_large_kernels import split_large_kernels
from npuface_export.converters.onnxruntime import OnnxRuntime, written_onnx
from npuface_export.converters.recipe import Recipe

_LARGEST_KERNEL = 16
"""Cells along an axis of the convolutions that RKNN-Toolkit2 2.5.0 makes of larger ones, by its rule
seperate_large_kernel_conv; it leaves those alone.
"""


class Rknn(OnnxRuntime):
    """Converter to QDQ ONNX for Rockchip's NPUs (see converter.Converter); onnxruntime's CPU provider stands in.

    The toolkit makes float16 of what stays in float. It reads no 16-bit QuantizeLinear: those begin with opset 21.
    Large kernels are split before they are quantized: the toolkit would do it afterwards, and make float16 of them.
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
        model = split_large_kernels(load_onnx(source.files["model"]), _LARGEST_KERNEL)
        return onnx_quantize.OnnxQuantizer(model, pictures, written_onnx, style)


CONVERTER = Rknn()
