"""Questions about what a user gives, which are answered or raise a UserError."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from pathlib import Path

from npuface_runtime.errors import UserError


def number_of(value: object) -> float:
    """A number as a float; NaN for anything else, True and False included."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def why_wrong(value: object) -> str:
    """Why a value that was refused is no number that will do."""
    return f"it is of type {type(value).__name__}" if math.isnan(number_of(value)) else "it is out of range"


def is_whole(value: object) -> bool:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_file(path: Path) -> bool:
    """Whether a path leads to a file. Raises UserError where the system does not say."""
    return _asked(path, path.is_file)


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder. Raises UserError where the system does not say."""
    return _asked(path, path.is_dir)


def _asked(path: Path, question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> UserError:
    """The system refuses to read a path, in its words."""
    return UserError(f"cannot read {path}", error.strerror or str(error), "check the path and its permissions")
