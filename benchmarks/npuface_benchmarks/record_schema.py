"""The JSON Schema of a benchmark record, made from the annotations of its dataclasses.

python -m npuface_benchmarks.record_schema docs/benchmark.schema.json
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from npuface_benchmarks.files import write_all
from npuface_benchmarks.record import FORMAT, VERSION, Record

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def record_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of what `Record.as_json` gives."""
    schema = _schema(Record)
    schema["properties"] |= {"format": {"const": FORMAT}, "version": {"const": VERSION}}
    schema["required"] += ["format", "version"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "NPUFace benchmark"} | schema


def _schema(kind: Any) -> dict[str, Any]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(arg) if arg is not type(None) else {"type": "null"} for arg in args]}
    if origin is tuple:
        return {"type": "array", "items": _schema(args[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(args[1])}
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        names = [field.name for field in fields(kind)]
        return {
            "type": "object",
            "properties": {name: _schema(hints[name]) for name in names},
            "required": names,
            "additionalProperties": False,
        }
    return {"type": _PLAIN[kind]}


def schema_text() -> str:
    """The schema as a file holds it."""
    return json.dumps(record_schema(), indent=2) + "\n"


if __name__ == "__main__":
    out = Path(sys.argv[1])
    write_all(out.parent, {out.name: schema_text().encode()})
