"""The check that every operator of a quantized TFLite model has the type that its recipe promises."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from npuface_export.converters.litert_layers import parts
from npuface_export.converters.recipe import Recipe
from npuface_export.converters.tflite_graph import Graph
from npuface_runtime.errors import UserError

_BOUNDARY = ("QUANTIZE", "DEQUANTIZE")


def check_types(graph: Graph, recipe: Recipe, wide_type: str = "int16", wide: Collection[str] = ()) -> None:
    """Refuse a model in which an operator did not get the type that the recipe promises.

    Args:
        graph: the quantized model.
        recipe: what was promised.
        wide_type, wide: type of the operators that write the tensors of these names.

    Raises:
        UserError: with the first operator of another type.
    """
    decode, moments = parts(graph)
    for op in graph.operators:
        name = graph.operator_name(op)
        if name in _BOUNDARY:
            continue
        promised = recipe.body
        if op in moments or (op in decode and recipe.decode != "int16"):
            promised = recipe.decode
        if any(graph.name(int(tensor)) in wide for tensor in op.outputs):
            promised = wide_type
        found = {graph.dtype(tensor) for tensor in graph.activations(op)} - {promised}
        if found:
            raise UserError(
                "cannot quantize the model",
                f"{name} stays in {' and '.join(sorted(found))} where the recipe says {promised}",
                "choose another recipe or decode form",
            )
    _check_ends(graph, recipe, decode, wide_type if wide else None)


def _check_ends(graph: Graph, recipe: Recipe, decode: list[Any], wide_type: str | None) -> None:
    """A wide first or last layer gives its type to the model's end."""
    ends: Mapping[int, str] = {
        graph.inputs[0]: recipe.body,
        graph.outputs[0]: recipe.decode if decode else recipe.body,
    }
    for tensor, promised in ends.items():
        if graph.dtype(tensor) not in (promised, wide_type):
            raise UserError(
                "cannot quantize the model",
                f"{graph.name(tensor)} is {graph.dtype(tensor)} where the recipe says {promised}",
                "choose another recipe or decode form",
            )
