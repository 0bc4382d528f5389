"""A head that turns maps into coordinates, whatever it is made of: run alone, and its numbers read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import torch
from torch import Tensor

from npuface_export.foreign.graph import Graph
from npuface_export.foreign.heads.head import MapsShape
from npuface_export.foreign.heads.softmax_path import Path
from npuface_export.foreign.onnx_module import OnnxModule
from npuface_export.foreign.probe import Coordinates, read_coordinates

_ONE_PEAK = 60.0
"""A peak that stands this far above all others, in units of the softmax, leaves them nothing in float32."""


def own_decode(graph: Graph, path: Path, shape: MapsShape) -> tuple[Callable[[Tensor], Tensor], Coordinates] | str:
    """The part of the graph behind the maps as a decode of one picture, and what its numbers are; or why it is none.

    Its numbers may leave in one output, or x and y in two.
    """
    why = "no output depends on the maps alone"
    for outputs in _candidates(graph, path.maps, shape[0]):
        try:
            part = graph.between([path.maps], outputs)
        except ValueError as error:
            why = f"beside the maps {error}"
            continue
        module = OnnxModule(part).eval()

        def numbers(maps: Tensor, module: OnnxModule = module) -> Tensor:
            entering = maps if path.is_nchw else maps.permute(0, 2, 3, 1)
            leaving = module(entering)
            made = leaving if isinstance(leaving, tuple) else (leaving,)
            return torch.cat([part.reshape(-1).float() for part in made])

        read = read_coordinates(numbers, *shape, _ONE_PEAK / path.factor)
        if isinstance(read, Coordinates):
            return (lambda maps, read=read, numbers=numbers: read.cells(numbers(maps))), read
        why = f"of {' and '.join(outputs)}: {read}"
    return why


def _candidates(graph: Graph, maps: str, points: int) -> Iterator[tuple[str, ...]]:
    """The outputs that may hold 2K coordinates, or x and y apart, or K indices."""
    live = graph.downstream(maps) - {maps}
    sizes = {name: torch.Size(graph.shape(name)).numel() for name in graph.outputs if name in live}
    yield from ((name,) for name, size in sizes.items() if size == 2 * points)
    yield from permutations([name for name, size in sizes.items() if size == points], 2)
    yield from ((name,) for name, size in sizes.items() if size == points)
