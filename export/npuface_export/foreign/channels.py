"""Channels of a tensor, as users name them: NAME, or NAME[FIRST:END] for some of its channels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from npuface_export.foreign.graph import Graph
from npuface_runtime.errors import UserError


@dataclass(frozen=True)
class Channels:
    """Some channels of a tensor [1, C, H, W]; all of them where `part` is None."""

    tensor: str
    part: tuple[int, int] | None = None

    def count(self, graph: Graph) -> int:
        """How many they are."""
        return graph.shape(self.tensor)[1] if self.part is None else self.part[1] - self.part[0]


def channels_named(graph: Graph, text: str) -> Channels:
    """What the user means.

    Raises:
        UserError: there is no such tensor, or it has no such channels.
    """
    match = re.fullmatch(r"(.*)\[(\d+):(\d+)\]", text)
    name, part = (match[1], (int(match[2]), int(match[3]))) if match else (text, None)
    if name not in graph.shapes:
        made = [output for node in graph.nodes for output in node.outputs]
        near = get_close_matches(name, made, n=4, cutoff=0.4) or [*graph.outputs, *made[-3:]]
        raise UserError(
            f"cannot find the tensor {name!r}", "the model has none of that name", f"did you mean {', '.join(near)}?"
        )
    if name in graph.inputs:
        raise UserError("cannot use it as maps", f"the tensor {name!r} is the input", "name a tensor that is computed")
    shape = graph.shape(name)
    if part is not None and (len(shape) != 4 or not 0 <= part[0] < part[1] <= shape[1]):
        why = f"the tensor {name!r} is {list(shape)}"
        raise UserError(f"cannot take the channels {part[0]}:{part[1]}", why, "give channels that it has")
    return Channels(name, part)
