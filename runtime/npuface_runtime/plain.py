"""Plain data, as it comes out of a JSON file -> annotated frozen dataclasses, every value checked."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any


def parse_json(text: str) -> object:
    """Strict JSON: NaN and Infinity, which Python would take, are refused. Raises ValueError."""

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is no JSON number")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def build(kind: Any, value: object, where: str) -> Any:
    """Plain data -> an instance of the annotated type `kind`.

    Takes dataclasses, tuple[T, ...], Mapping[str, T], T | None, str, bool, int, float and Any, nested at will.

    Raises:
        ValueError: the data does not fit; the message starts with where, such as manifest.input.shape[2].
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return None if value is None else build(next(a for a in args if a is not type(None)), value, where)
    if is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where} is not a list")
        return tuple(build(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise ValueError(f"{where} is not an object")
        return {key: build(args[1], v, f"{where}.{key}") for key, v in value.items()}
    if kind is float:
        return _build_float(value, where)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} is not of type {kind.__name__}")
    return value


def _build_float(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{where} is not of type float")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{where} is not finite")
    return number


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    """The annotated types of a dataclass; to evaluate them takes longer than to build it."""
    return typing.get_type_hints(kind)


def _build_dataclass(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")
    hints = _hints(kind)
    known = {f.name: f for f in fields(kind)}
    for name in value:
        if name not in known:
            raise ValueError(f"{where} has an unknown field {name!r}")
    for name, f in known.items():
        if name not in value and f.default is MISSING and f.default_factory is MISSING:
            raise ValueError(f"{where} has no field {name!r}")
    return kind(**{name: build(hints[name], v, f"{where}.{name}") for name, v in value.items()})
