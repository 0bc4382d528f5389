"""The TOML files in `targets/`, as they are written: whoever reads only names in them needs no torch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "targets"


@cache
def target_tables() -> Mapping[str, Mapping[str, Any]]:
    """The table of every target by name, in alphabetical order."""
    return {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}


def operator_table(family: str) -> Mapping[str, Any]:
    """The operators that targets of a family share, by ONNX name."""
    return _read(_FOLDER / "operators" / f"{family}.toml")


def _read(path: Path) -> Mapping[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
