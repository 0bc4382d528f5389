"""Checks of what stands in a configuration: every value of its kind and in its range, before hours are spent on it."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

_POSITIVE = {"input_size", "epochs", "batch", "rate", "width", "sigma", "margin", "balance", "least_resolution"}
_SHARES = {"warmup", "threshold", "held_out", "network_labels", "ema", "flip", "occlusion", "grey", "blur", "motion"}
_SHARES |= {"low_resolution", "noise", "jpeg", "shade", "most_blur", "longest_motion", "least_resolution"}
_SHARES |= {"deepest_shade", "shift"}
_BELOW = {"ema": 1, "threshold": 1, "least_resolution": 0.7, "worst_jpeg": 90, "seed": 2**31}
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def check_values(config: Any, where: str = "") -> None:
    """Check a configuration, a dataclass of plain values and of other such dataclasses.

    Raises:
        ValueError: a value is of another kind than its annotation says, not finite, or out of its range.
    """
    hints = get_type_hints(type(config))
    for name in (field.name for field in fields(config)):
        value, called = getattr(config, name), f"{where}{name}"
        if is_dataclass(value):
            check_values(value, f"{called}.")
        elif isinstance(value, tuple):
            for number, part in enumerate(value):
                if is_dataclass(part):
                    check_values(part, f"{called}[{number}].")
                else:
                    _check(name, f"{called}[{number}]", part, get_args(hints[name])[0])
        else:
            _check(name, called, value, hints[name])


def _check(name: str, called: str, value: Any, kind: type) -> None:
    if type(value) not in ((int, float) if kind is float else (kind,)):  # true is no number
        raise ValueError(f"{called} = {value!r} is not {_KINDS[kind]}")
    if kind not in (int, float):
        return
    if not math.isfinite(value) or value < 0 or (name in _POSITIVE and value == 0):
        raise ValueError(f"{called} = {value!r} is not {'above 0' if name in _POSITIVE else '0 or more'}")
    if value >= _BELOW.get(name, math.inf):
        raise ValueError(f"{called} = {value!r} is not below {_BELOW[name]}")
    if name in _SHARES and value > 1:
        raise ValueError(f"{called} = {value!r} is not in 0..1")
