"""What every vendor compiler does: a model file -> what the NPU itself runs, where each operator went, and a cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from npuface_export.target import Target


@dataclass(frozen=True)
class CpuOperator:
    """Operators of one kind that the NPU does not take.

    Attributes:
        operator: in the model file's own names.
        count: how many of them.
        reason: in the compiler's words; None where it gives none.
    """

    operator: str
    count: int
    reason: str | None


@dataclass(frozen=True)
class Placement:
    """Where the operators of the model file run.

    Attributes:
        npu, cpu: number of operators there.
        cpu_operators: those on the CPU and why.
        decode_npu, decode_cpu: how many of them come after the heatmaps.
    """

    npu: int
    cpu: int
    cpu_operators: tuple[CpuOperator, ...] = ()
    decode_npu: int = 0
    decode_cpu: int = 0


@dataclass(frozen=True)
class Estimate:
    """What a model costs on the NPU.

    Attributes:
        kind: what kind of number it is: measured, emulated or compiler estimate.
        total_ms: one inference; only the NPU's share where operators are on the CPU.
        body_ms: the same network ending at its heatmaps; None where the model has no heatmaps to end at.
        decode_ms: the difference, which can be negative: heatmaps that stay inside need not be written out.
            None where operators of it are on the CPU, whose time the compiler does not know.
        cycles: NPU clock cycles of one inference.
        sram_bytes, flash_bytes, dram_bytes: memory in use.
        decode_cycles: of the operators after the heatmaps, by the compiler's names.
    """

    kind: str
    total_ms: float
    body_ms: float | None
    decode_ms: float | None
    cycles: int
    sram_bytes: int
    flash_bytes: int
    dram_bytes: int
    decode_cycles: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> Mapping[str, Any]:
        """As the manifest keeps it."""
        return asdict(self)


@dataclass(frozen=True)
class Compilation:
    """What a vendor compiler made.

    Attributes:
        artifact: the file that the device runs.
        placement: where the operators went.
        estimate: what it costs.
        version: of the compiler.
    """

    artifact: Path
    placement: Placement
    estimate: Estimate
    version: str


class Compiler(Protocol):
    """One vendor's compiler."""

    def compile(self, model: Path, target: Target, folder: Path) -> Compilation:
        """Compile a model file for a target, with the artifact in `folder`.

        Raises:
            UserError: the compiler is missing, fails, or takes too long.
        """
        ...
