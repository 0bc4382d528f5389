"""Quantize a TFLite model: INT8 body, decode and wide layers by recipe, every element type checked afterwards."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_quantizer import qtyping, quantizer
from numpy.typing import NDArray

from npuface_export.converters.converter import ModelFiles
from npuface_export.converters.litert_layers import body_layers, parts
from npuface_export.converters.litert_types import check_types
from npuface_export.converters.ranges import Observer, Range, mirrored
from npuface_export.converters.recipe import Recipe, check_layers, check_recipe
from npuface_export.converters.tflite_exp import fuse_exponentials
from npuface_export.converters.tflite_fold import has_folded_shift, note_range, unfold_shift
from npuface_export.converters.tflite_graph import HEATMAPS, Graph
from npuface_export.quiet import quiet_tools
from npuface_runtime.errors import UserError

_DECODES, _WIDE = ("int16", "int8", "float32"), ("int16", "float32")
_WHY = "TFLite's kernels are int8, int16 with 8-bit weights, and float32; in float16 it only stores weights"
_HEADROOM = 1.5
"""Range of the moments over the largest mass seen in calibration: a saturated mass would move its point."""
_ALL = qtyping.TFLOperationName.ALL_SUPPORTED


class LiteRtQuantizer:
    """A TFLite model and what its activations were on the calibration pictures (see converter.Quantizer).

    Args:
        source: the float model.
        pictures: NHWC [1, H, W, 3] float32, normalised.
        written: writes a graph to a path.
    """

    def __init__(
        self,
        source: Path,
        pictures: Sequence[NDArray[np.float32]],
        written: Callable[[Graph, Path], ModelFiles],
    ) -> None:
        self._source, self._written = source, written
        self._graph = Graph.read(source)
        self._decode, self._moments = parts(self._graph)
        self._layers = body_layers(self._graph)
        self.layers = tuple(self._layers)
        whole = [self._graph.inputs[0], *_made(self._decode), *(i for op in self._decode for i in op.inputs)]
        self._ranges = _observed(self._graph, pictures).ranges(whole={self._graph.name(i) for i in whole if i >= 0})
        self._ranges |= self._moments_range()
        self._drawn = self._drawn_range(pictures) if has_folded_shift(self._graph) else None

    def write(self, recipe: Recipe, folder: Path) -> ModelFiles:
        """Write `model.tflite` (see converter.Quantizer.write)."""
        return self._written(self.graph(recipe), folder / "model.tflite")

    def graph(self, recipe: Recipe) -> Graph:
        """The quantized graph.

        Raises:
            UserError: the recipe is unknown or does not fit the model, or an operator would stay in a type
                that the recipe does not give it.
        """
        wide_type = check_recipe(recipe, _DECODES, _WIDE, _WHY)
        check_layers(recipe, self.layers)
        if recipe.decode == "int16" and self._decode and not self._moments:
            raise UserError(
                "cannot quantize the model",
                "its decode form has no moments that 16 bits could keep",
                'take --decode-type int8 (decode = "int8" in a recipe), or export it with --decode relative-threshold',
            )
        wide = [op for layer in recipe.wide for op in self._layers[layer]]
        tool = quantizer.Quantizer(str(self._source))
        self._give_types(tool, recipe, wide, wide_type)
        if not tool.get_quantization_recipe():
            return Graph.read(self._source)  # every layer and the decode stay in float
        ranges = {name: {"min": _array(low), "max": _array(high)} for name, (low, high) in self._ranges.items()}
        with quiet_tools(), contextlib.redirect_stderr(io.StringIO()):  # it draws progress bars there
            result = tool.quantize(ranges, enable_progress_report=False)
        quantized = Graph.from_bytes(bytes(result.quantized_model or b""), self._source.name)
        fuse_exponentials(quantized)
        if self._drawn is not None:
            note_range(quantized, *self._drawn)
        check_types(quantized, recipe, wide_type, {self._graph.name(i) for i in _made(wide)})
        return quantized

    def _give_types(self, tool: Any, recipe: Recipe, wide: list[Any], wide_type: str) -> None:
        """Tell the tool the type of every operator; those it is told nothing of stay in float."""
        types: dict[str, list[Any]] = {"int8": [], "int16": [], "float32": []}
        for op in self._graph.operators:
            if op in wide:
                types[wide_type].append(op)
            elif op in self._moments or (op in self._decode and recipe.decode != "int16"):
                types[recipe.decode].append(op)
            else:
                types[recipe.body].append(op)
        for dtype, bits in (("int8", 8), ("int16", 16)):
            if types[dtype]:
                # the quantizer knows an operator by its outputs' names
                made = _made(types[dtype]) + (self._graph.inputs if dtype == recipe.body else [])
                names = "|".join(re.escape(self._graph.name(i)) for i in made)
                tool.add_static_config(f"^({names});?$", _ALL, activation_num_bits=bits, weight_num_bits=8)

    def _drawn_range(self, pictures: Sequence[NDArray[np.float32]]) -> Range:
        """Of the heatmaps without the shift that is folded into them, which the model that is quantized never holds."""
        drawn = Graph.read(self._source)
        unfold_shift(drawn, HEATMAPS)
        return _observed(drawn, pictures, [HEATMAPS]).ranges(whole=[HEATMAPS])[HEATMAPS]

    def _moments_range(self) -> dict[str, Range]:
        """One symmetric range for all moments.

        A first moment is at most its mass, so the largest mass bounds them all wherever the landmark lies,
        also in corners that no calibration picture visits.
        """
        return mirrored(self._ranges, [self._graph.name(i) for i in _made(self._moments)], _HEADROOM)


def _observed(graph: Graph, pictures: Sequence[NDArray[np.float32]], only: Iterable[str] | None = None) -> Observer:
    """All activations of a float model on the pictures, or those of some names.

    The quantizer's own calibration takes a moving average over the pictures, which is narrower than what
    was seen and lets the strongest peaks saturate. Weights must not be among the ranges: the quantizer
    finds those channel by channel itself, and would take ours for the whole tensor.
    """
    names = set(only or (graph.name(i) for op in graph.operators for i in graph.activations(op)))
    interpreter = Interpreter(
        model_content=graph.content(),
        num_threads=os.cpu_count() or 1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    details = [d for d in interpreter.get_tensor_details() if d["name"] in names]
    observer = Observer()
    for picture in pictures:
        interpreter.set_tensor(entry, picture)
        interpreter.invoke()
        for detail in details:
            observer.see(detail["name"], interpreter.get_tensor(detail["index"]))
    return observer


def _made(operators: Iterable[Any]) -> list[int]:
    """The tensors that operators write."""
    return [int(tensor) for op in operators for tensor in op.outputs]


def _array(value: float) -> NDArray[np.float32]:
    return np.array([value], np.float32)
