"""Quantize a TFLite model: INT8 body, decode by recipe, every element type checked afterwards."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_quantizer import qtyping, quantizer
from numpy.typing import NDArray

from npuface_export.converters.converter import Recipe
from npuface_export.converters.tflite_graph import HEATMAPS, Graph
from npuface_export.quiet import quiet_tools
from npuface_runtime.errors import UserError

_BODY = "int8"
_DECODES = ("int16", "int8", "float32")
_HEADROOM = 1.5
"""Range of the moments over the largest mass seen in calibration: a saturated mass would move its point."""
_BOUNDARY = ("QUANTIZE", "DEQUANTIZE")
_ALL = qtyping.TFLOperationName.ALL_SUPPORTED

Ranges = dict[str, dict[str, NDArray[np.float32]]]


def quantize_graph(source: Path, pictures: Sequence[NDArray[np.float32]], recipe: Recipe) -> Graph:
    """The quantized graph of a float model.

    Args:
        source: the float model.
        pictures: NHWC [1, S, S, 3] float32, normalised; their ranges become the model's.
        recipe: element types of body and decode.

    Raises:
        UserError: there are no pictures, the recipe is unknown or does not fit the model, or an operator
            would stay in a type that the recipe does not give it.
    """
    graph = Graph.read(source)
    decode, moments = _parts(graph)
    _check_request(recipe, pictures, decode, moments)
    ranges = _calibrate(source, {graph.name(i) for op in graph.operators for i in graph.activations(op)}, pictures)
    _give_headroom(graph, moments, ranges)
    tool = quantizer.Quantizer(str(source))
    tool.add_static_config(".*", _ALL, activation_num_bits=8, weight_num_bits=8)
    if recipe.decode == "float32" and decode:
        tool.update_quantization_recipe(_regex(graph, decode), _ALL, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE)
    if recipe.decode == "int16" and moments:
        tool.add_static_config(_regex(graph, moments), _ALL, activation_num_bits=16, weight_num_bits=8)
    with quiet_tools(), contextlib.redirect_stderr(io.StringIO()):  # it draws progress bars there
        result = tool.quantize(ranges, enable_progress_report=False)
    quantized = Graph.from_bytes(bytes(result.quantized_model or b""), source.name)
    check_types(quantized, recipe)
    return quantized


def _parts(graph: Graph) -> tuple[list[Any], list[Any]]:
    """(operators after the heatmaps, those of them that belong to `moments` or follow one that does)."""
    start = graph.by_name(HEATMAPS)
    if start is None:
        raise UserError("cannot quantize the model", f"it has no tensor {HEATMAPS!r}", "export the network again")
    decode = graph.downstream([start])
    named = [tensor for op in decode for tensor in op.outputs if "moments" in graph.name(tensor)]
    following = graph.downstream(named)
    return decode, [op for op in decode if op in following or any(tensor in named for tensor in op.outputs)]


def _check_request(recipe: Recipe, pictures: Sequence[object], decode: list[Any], moments: list[Any]) -> None:
    what = "cannot quantize the model"
    if recipe.body != _BODY or recipe.decode not in _DECODES:
        raise UserError(
            what,
            f"the recipe asks for body {recipe.body!r} and decode {recipe.decode!r}",
            f"choose body {_BODY} and decode {' or '.join(_DECODES)}",
        )
    if not pictures:
        raise UserError(what, "there are no calibration pictures", "give a folder with at least one picture of a face")
    if recipe.decode == "int16" and decode and not moments:
        raise UserError(
            what,
            "its decode form has no moments that 16 bits could keep",
            "choose decode float32, or the relative-threshold form",
        )


def _regex(graph: Graph, operators: list[Any]) -> str:
    """A pattern for exactly these operators; the quantizer knows an operator by its outputs' names."""
    names = (re.escape(graph.name(tensor)) for op in operators for tensor in op.outputs)
    return f"^({'|'.join(names)});?$"


def _calibrate(source: Path, activations: set[str], pictures: Sequence[NDArray[np.float32]]) -> Ranges:
    """Smallest and largest value of each activation over all pictures.

    The quantizer's own calibration takes a moving average over the pictures, which is narrower than what
    was seen and lets the strongest peaks saturate. Weights must not be among the ranges: the quantizer
    finds those channel by channel itself, and would take ours for the whole tensor.
    """
    interpreter = Interpreter(
        str(source),
        num_threads=os.cpu_count() or 1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    details = [d for d in interpreter.get_tensor_details() if d["name"] in activations]
    lows, highs = np.full(len(details), np.inf), np.full(len(details), -np.inf)
    for picture in pictures:
        interpreter.set_tensor(entry, picture)
        interpreter.invoke()
        for n, detail in enumerate(details):
            values = interpreter.get_tensor(detail["index"])
            lows[n], highs[n] = min(lows[n], values.min()), max(highs[n], values.max())
    return {
        d["name"]: {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
        for d, low, high in zip(details, lows, highs, strict=True)
    }


def _give_headroom(graph: Graph, moments: list[Any], ranges: Ranges) -> None:
    """One symmetric range for all moments.

    A first moment is at most its mass, so the largest mass bounds them all wherever the landmark lies,
    also in corners that no calibration picture visits.
    """
    names = [graph.name(tensor) for op in moments for tensor in op.outputs]
    if names:
        largest = max(float(max(-ranges[name]["min"][0], ranges[name]["max"][0])) for name in names)
        bound = np.array([_HEADROOM * largest], np.float32)
        ranges.update({name: {"min": -bound, "max": bound} for name in names})


def check_types(graph: Graph, recipe: Recipe) -> None:
    """Refuse a model in which an operator did not get the type that the recipe promises."""
    decode, moments = _parts(graph)
    for op in graph.operators:
        name = graph.operator_name(op)
        if name in _BOUNDARY:
            continue
        promised = recipe.body
        if op in moments or (op in decode and recipe.decode != "int16"):
            promised = recipe.decode
        found = {graph.dtype(tensor) for tensor in graph.activations(op)} - {promised}
        if found:
            raise UserError(
                "cannot quantize the model",
                f"{name} stays in {' and '.join(sorted(found))} where the recipe says {promised}",
                "choose another recipe or decode form",
            )
    _check_ends(graph, recipe, decode)


def _check_ends(graph: Graph, recipe: Recipe, decode: list[Any]) -> None:
    ends: Mapping[int, str] = {
        graph.inputs[0]: recipe.body,
        graph.outputs[0]: recipe.decode if decode else recipe.body,
    }
    for tensor, promised in ends.items():
        if graph.dtype(tensor) != promised:
            raise UserError(
                "cannot quantize the model",
                f"{graph.name(tensor)} is {graph.dtype(tensor)} where the recipe says {promised}",
                "choose another recipe or decode form",
            )
