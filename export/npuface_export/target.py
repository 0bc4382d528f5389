"""Targets: what an NPU (or CPU engine) can do, and what it costs there, read from one TOML file each in `targets/`.

Targets of one family share the list of their operators: `operators_from` names a file in `targets/operators/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any

from npuface_export.decode import DecodeForm, HeatmapSpec
from npuface_export.decode.form import Need
from npuface_export.target_table import operator_table, target_tables
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import DeviceEngine


@dataclass(frozen=True)
class OperatorLimit:
    """What a target says of one operator.

    Attributes:
        dtypes: element types it runs in.
        max_kernel_height, max_kernel_width, max_kernel_area: largest kernel, where there is a limit.
        max_stride: largest stride along either axis, where there is a limit.
        source: the page or report that the limit comes from.
    """

    dtypes: tuple[str, ...] = ()
    max_kernel_height: int | None = None
    max_kernel_width: int | None = None
    max_kernel_area: int | None = None
    max_stride: int | None = None
    source: str = ""

    def refuses(self, need: Need) -> str | None:
        """Why a need is over these limits; None if it is not."""
        if need.kernel is not None:
            height, area = need.kernel[0], need.kernel[0] * need.kernel[1]
            if self.max_kernel_height is not None and height > self.max_kernel_height:
                return f"{need.operator} kernel {need.kernel} is higher than {self.max_kernel_height}"
            if self.max_kernel_width is not None and need.kernel[1] > self.max_kernel_width:
                return f"{need.operator} kernel {need.kernel} is wider than {self.max_kernel_width}"
            if self.max_kernel_area is not None and area > self.max_kernel_area:
                return f"{need.operator} kernel {need.kernel} has more than {self.max_kernel_area} cells"
        if need.stride is not None and self.max_stride is not None and max(need.stride) > self.max_stride:
            return f"{need.operator} stride {need.stride} is over {self.max_stride}"
        return None


@dataclass(frozen=True)
class OperatorCost:
    """What one operator costs, in about a nanosecond.

    Attributes:
        work: of one unit of work (see Need.work).
        kernel: of one cell of the kernel of one landmark, however often the kernel is laid on.
    """

    work: float = 1.0
    kernel: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What a decode costs on a target. The unit is about a nanosecond; only the order of forms follows from it.

    Attributes:
        operators: by ONNX name; one that is not there costs as OperatorCost says by default.
        byte_out: of one byte that leaves the network: moved, and finished by the host.
        source: where the figures come from.
    """

    operators: Mapping[str, OperatorCost] = field(default_factory=dict)
    byte_out: float = 1.0
    source: str = ""

    def of(self, needs: Iterable[Need], points: int, bytes_out: int) -> float:
        """The cost for one face of what a form needs for K = `points` landmarks, and of the bytes that it lets out."""
        return sum(self._of_need(need, points) for need in needs) + bytes_out * self.byte_out

    def _of_need(self, need: Need, points: int) -> float:
        cost = self.operators.get(need.operator, OperatorCost())
        cells = need.kernel[0] * need.kernel[1] * points if need.kernel else 0
        return need.work * cost.work + cells * cost.kernel


@dataclass(frozen=True)
class Target:
    """One thing to deploy to.

    Attributes:
        name: vendor-chip.
        title: for people.
        converter: which of npuface_export.converters makes its model file.
        compiler: which of npuface_export.compilers compiles that file; None where the engine runs it as it is.
        compiles: which model of a bundle the compiler takes: "model", or "float" where it quantizes by itself.
        compiler_options: handed to the compiler.
        precisions: what can run there, of "float32", "float16" and "int8".
        is_npu: False for a CPU or GPU engine.
        operators: by ONNX name; None means that the engine runs every ONNX operator we emit.
        operators_from: whose list that is, where targets of a family share it.
        decode_type: of the decode where it runs best there (see Recipe.decode); the converter's own choice without it.
        channel_block: channels that its kernels compute together, where a layer with a rest of them is much slower: the
            renderer fills its blocks with zeros, and sums over samples as such kernels like it.
        device: the engine that opens the bundle on the device, where that is another than the one that stands in for
            it on a host.
        note: what a user should know of it, such as that it is experimental.
        cost: by which decode forms are put in order.
        source: where the limits come from.
    """

    name: str
    title: str
    converter: str
    precisions: tuple[str, ...]
    is_npu: bool
    source: str
    compiler: str | None = None
    compiles: str = "model"
    compiler_options: Mapping[str, str] = field(default_factory=dict)
    operators: Mapping[str, OperatorLimit] | None = None
    operators_from: str | None = None
    decode_type: str | None = None
    channel_block: int = 1
    device: DeviceEngine | None = None
    note: str | None = None
    cost: Cost = field(default_factory=Cost)

    @property
    def runs_on_host(self) -> bool:
        """Whether the engine on a host is what runs its bundles, not a stand-in for an NPU or another device."""
        return not self.is_npu and self.device is None

    def refuses(self, need: Need) -> str | None:
        """Why the target cannot run what a form needs; None if it can."""
        if self.operators is None:
            return None
        limit = self.operators.get(need.operator)
        if limit is None:
            return f"{self.name} has no {need.operator}"
        return limit.refuses(need)

    def refuses_form(self, form: DecodeForm, spec: HeatmapSpec) -> str | None:
        """Why the target cannot run a decode form; None if it can."""
        reasons = (self.refuses(need) for need in form.needs(spec))
        return form.refuses(spec) or next((reason for reason in reasons if reason), None)


def _target(name: str, table: Mapping[str, Any]) -> Target:
    raw = dict(table)
    operators, shared = raw.pop("operators", None), raw.get("operators_from")
    if shared is not None:
        operators = operator_table(shared)
    return Target(
        name=name,
        operators=None if operators is None else {name: _limit(limit) for name, limit in operators.items()},
        cost=_cost(raw.pop("cost", {})),
        device=DeviceEngine(**device) if (device := raw.pop("device", None)) else None,
        precisions=tuple(raw.pop("precisions")),
        **raw,
    )


def _limit(raw: Mapping[str, Any]) -> OperatorLimit:
    return OperatorLimit(**{**raw, "dtypes": tuple(raw.get("dtypes", ()))})


def _cost(raw: Mapping[str, Any]) -> Cost:
    operators = {name: OperatorCost(**cost) for name, cost in raw.get("operators", {}).items()}
    return Cost(**{**raw, "operators": operators})


@cache
def targets() -> Mapping[str, Target]:
    """Every target by name, in alphabetical order."""
    return {name: _target(name, table) for name, table in target_tables().items()}


def target_by_name(name: str) -> Target:
    """The target of that name.

    Raises:
        UserError: no target has that name; the near ones are suggested.
    """
    known = targets()
    if name not in known:
        begun = [target for target in known if name and target.startswith(name)]
        near = begun or get_close_matches(name, known, cutoff=0.4) or sorted(known)
        raise UserError(
            f"unknown target {name!r}", f"the targets are {', '.join(known)}", f"did you mean {' or '.join(near)}?"
        )
    return known[name]
