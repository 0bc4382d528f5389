"""qnn: QDQ ONNX for Qualcomm's Hexagon NPU, as onnxruntime's QNN provider takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npuface_export.converters.onnxruntime import OnnxRuntime
from npuface_export.converters.recipe import Recipe

if TYPE_CHECKING:
    from npuface_export.converters.onnx_quantize import QdqStyle


class Qnn(OnnxRuntime):
    """Converter to QDQ ONNX for the Hexagon NPU (see converter.Converter); onnxruntime's CPU provider stands in for it.

    The whole graph is quantized: uint8 activations with int8 weights in the body, uint16 activations in the decode.
    The picture enters as uint8 and the results leave as integers. An operator that mixes 8 and 16 bits would run in
    float there, which the HTP v68 refuses.
    Source: https://onnxruntime.ai/docs/execution-providers/QNN-ExecutionProvider.html
    """

    safe_recipe = Recipe(decode="int16")

    def style(self) -> QdqStyle:
        """In integers throughout (see OnnxRuntime.style)."""
        from onnxruntime.quantization import QuantType

        from npuface_export.converters.onnx_quantize import QdqStyle

        return QdqStyle(
            decodes=("int16", "float16", "float32", "int8"),
            why="the Hexagon NPU computes in int8, in uint16 with int8 weights, and what stays in float in float16",
            wide=QuantType.QUInt16,
            integer_ends=True,
            one_type=True,
        )


CONVERTER = Qnn()
