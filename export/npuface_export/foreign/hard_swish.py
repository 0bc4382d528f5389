"""Pass: the hard activations that old exporters write out become one operator again.

x + 3, clipped to 0..6, over 6 is HardSigmoid; x times its HardSigmoid is HardSwish. In INT8 each step of the long form
would be rounded apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from npuface_export.foreign.graph import Graph, Node


def with_hard_activations(graph: Graph) -> Graph:
    """The same network with HardSigmoid and HardSwish where their long forms were, used once each."""
    uses = Counter(name for node in graph.nodes for name in node.inputs) + Counter(graph.outputs)
    made: dict[str, Node] = {}
    for node in graph.nodes:
        new = _hard_sigmoid(graph, node, made, uses) or node
        made |= dict.fromkeys(new.outputs, new)
        swish = _hard_swish(new, made, uses)
        if swish is not None:
            made |= dict.fromkeys(swish.outputs, swish)
    nodes = tuple(dict.fromkeys(made[node.outputs[0]].outputs[0] for node in graph.nodes))
    whole = replace(graph, nodes=tuple(made[name] for name in nodes))
    return whole.between(graph.inputs, graph.outputs)


def _hard_sigmoid(graph: Graph, node: Node, made: dict[str, Node], uses: Counter[str]) -> Node | None:
    """Of a Div by 6 (or Mul by 1/6) behind a Clip to 0..6 behind an Add of 3."""
    place = _scalar(graph, node)
    if node.operator not in ("Div", "Mul") or place is None:
        return None
    share = 1 / place[1] if node.operator == "Div" and place[0] == 1 else place[1]
    clip = made.get(node.inputs[1 - place[0]])
    if abs(share - 1 / 6) > 1e-6 or clip is None or clip.operator != "Clip" or uses[clip.outputs[0]] != 1:
        return None
    low, high = graph.setting(clip, "min", 1), graph.setting(clip, "max", 2)
    add = made.get(clip.inputs[0])
    if low != [0] or high != [6] or add is None or add.operator != "Add" or uses[add.outputs[0]] != 1:
        return None
    shift = _scalar(graph, add)
    if shift is None or shift[1] != 3:
        return None
    return Node("HardSigmoid", node.name, (add.inputs[1 - shift[0]],), node.outputs, {"alpha": 1 / 6, "beta": 0.5})


def _hard_swish(node: Node, made: dict[str, Node], uses: Counter[str]) -> Node | None:
    """Of a Mul of x and its HardSigmoid."""
    if node.operator != "Mul":
        return None
    for x, other in (node.inputs, node.inputs[::-1]):
        gate = made.get(other)
        if gate is not None and gate.operator == "HardSigmoid" and gate.inputs == (x,) and uses[other] == 1:
            return Node("HardSwish", node.name, (x,), node.outputs, {}) if _is_standard(gate) else None
    return None


def _is_standard(gate: Node) -> bool:
    return bool(abs(gate.get("alpha", 0.2) - 1 / 6) < 1e-6 and gate.get("beta", 0.5) == 0.5)


def _scalar(graph: Graph, node: Node) -> tuple[int, float] | None:
    """Place and value of the only constant of a node with two inputs, where it is one number."""
    if len(node.inputs) != 2:
        return None
    found = [(i, graph.constant(node, i)) for i in range(2)]
    numbers = [(i, float(array.reshape(-1)[0])) for i, array in found if array is not None and array.size == 1]
    return numbers[0] if len(numbers) == 1 else None
