"""Targets: what an NPU (or CPU engine) can do, read from one TOML file each in `targets/`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from npuface_export.decode import DecodeForm, HeatmapSpec
from npuface_export.decode.form import Need
from npuface_runtime.errors import UserError

_FOLDER = Path(__file__).parent / "targets"


@dataclass(frozen=True)
class OperatorLimit:
    """What a target says of one operator.

    Attributes:
        dtypes: element types it runs in.
        max_kernel_height, max_kernel_area: largest kernel, where there is a limit.
        source: the page or report that the limit comes from.
    """

    dtypes: tuple[str, ...] = ()
    max_kernel_height: int | None = None
    max_kernel_area: int | None = None
    source: str = ""


@dataclass(frozen=True)
class Target:
    """One thing to deploy to.

    Attributes:
        name: vendor-chip.
        title: for people.
        converter: which of npuface_export.converters makes its model file.
        compiler: which of npuface_export.compilers compiles that file; None where the engine runs it as it is.
        compiler_options: handed to the compiler.
        precisions: what can run there, of "float32" and "int8".
        is_npu: False for a CPU engine.
        operators: by ONNX name; None means that the engine runs every ONNX operator we emit.
        source: where the limits come from.
    """

    name: str
    title: str
    converter: str
    precisions: tuple[str, ...]
    is_npu: bool
    source: str
    compiler: str | None = None
    compiler_options: Mapping[str, str] = field(default_factory=dict)
    operators: Mapping[str, OperatorLimit] | None = None

    def refuses(self, need: Need) -> str | None:
        """Why the target cannot run what a form needs; None if it can."""
        if self.operators is None:
            return None
        limit = self.operators.get(need.operator)
        if limit is None:
            return f"{self.name} has no {need.operator}"
        if need.kernel is not None:
            height, area = need.kernel[0], need.kernel[0] * need.kernel[1]
            if limit.max_kernel_height is not None and height > limit.max_kernel_height:
                return f"{need.operator} kernel {need.kernel} is higher than {limit.max_kernel_height}"
            if limit.max_kernel_area is not None and area > limit.max_kernel_area:
                return f"{need.operator} kernel {need.kernel} has more than {limit.max_kernel_area} cells"
        return None

    def refuses_form(self, form: DecodeForm, spec: HeatmapSpec) -> str | None:
        """Why the target cannot run a decode form; None if it can."""
        reasons = (self.refuses(need) for need in form.needs(spec))
        return next((reason for reason in reasons if reason), None)


def _limit(raw: Mapping[str, Any]) -> OperatorLimit:
    return OperatorLimit(**{**raw, "dtypes": tuple(raw.get("dtypes", ()))})


def _read(path: Path) -> Target:
    raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    operators = raw.pop("operators", None)
    if operators is not None:
        operators = {name: _limit(limit) for name, limit in operators.items()}
    return Target(name=path.stem, operators=operators, precisions=tuple(raw.pop("precisions")), **raw)


@cache
def targets() -> Mapping[str, Target]:
    """Every target by name, in alphabetical order."""
    return {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}


def target_by_name(name: str) -> Target:
    """The target of that name.

    Raises:
        UserError: no target has that name; the near ones are suggested.
    """
    known = targets()
    if name not in known:
        near = get_close_matches(name, known, cutoff=0.4) or sorted(known)
        raise UserError(
            f"unknown target {name!r}", f"the targets are {', '.join(known)}", f"did you mean {' or '.join(near)}?"
        )
    return known[name]
