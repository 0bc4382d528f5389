"""rknn: QDQ ONNX for Rockchip's NPUs, as RKNN-Toolkit2 takes it: it keeps the ranges that it finds there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from npuface_export.converters.onnx_large_kernels import split_large_kernels
from npuface_export.converters.onnxruntime import OnnxRuntime
from npuface_export.converters.recipe import Recipe

if TYPE_CHECKING:
    from npuface_export.converters.onnx_quantize import QdqStyle

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

    def prepared(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """With no kernel that the toolkit would split (see OnnxRuntime.prepared)."""
        return split_large_kernels(model, _LARGEST_KERNEL)

    def style(self) -> QdqStyle:
        """In INT8, and in float where the toolkit is to make float16 (see OnnxRuntime.style)."""
        from npuface_export.converters.onnx_quantize import QdqStyle

        return QdqStyle(
            decodes=("float16", "float32", "int8"),
            why="Rockchip's toolkit takes int8 from a quantized ONNX model, and makes float16 of what stays in float",
        )


CONVERTER = Rknn()
