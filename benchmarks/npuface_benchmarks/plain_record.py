"""Measured records as JSON files beside the pages that are made from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from npuface_runtime.errors import UserError
from npuface_runtime.plain import build, parse_json

_T = TypeVar("_T")


def read_plain(kind: type[_T], path: Path, where: str, command: str) -> _T:
    """Read a record of the dataclass `kind`.

    Args:
        kind: what it is.
        path: its file.
        where: what messages call it.
        command: measures it again.

    Raises:
        UserError: the file is missing or holds something else.
    """
    try:
        return cast(_T, build(kind, parse_json(path.read_text(encoding="utf-8")), where))
    except (OSError, ValueError) as error:
        fix = f"measure again: {command} --out {path.parent}"
        raise UserError(f"cannot read {path}", str(error), fix) from None


def plain_bytes(data: Mapping[str, Any]) -> bytes:
    """A record's plain data as its file holds it."""
    return (json.dumps(_rounded(data), indent=1, allow_nan=False) + "\n").encode()


def _rounded(value: Any) -> Any:
    """Floats with five digits: what is measured is not known better."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value
