"""OpenVINO models as graphs."""

from __future__ import annotations

from typing import Any

_NOT_COUNTED = ("Constant", "Parameter", "Result")


def dependent(model: Any, start: set[str]) -> list[Any]:
    """The operators that depend on the named ones, in order."""
    live, found = set(start), []
    for node in model.get_ordered_ops():
        if live.intersection(source.get_node().get_friendly_name() for source in node.input_values()):
            live.add(node.get_friendly_name())
            if node.get_type_name() not in _NOT_COUNTED:
                found.append(node)
    return found
