"""ONNX operators in torch, the ones that face networks use. One file a family; TABLE holds them all by name."""

from __future__ import annotations

from npuface_export.foreign.operators import elementwise, layers, pooling, reductions, resize, shapes
from npuface_export.foreign.operators.table import TABLE, Function

__all__ = ["TABLE", "Function", "elementwise", "layers", "pooling", "reductions", "resize", "shapes"]
