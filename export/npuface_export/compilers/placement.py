"""Where every operator of a model runs: on the NPU, or left to the CPU, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from npuface_runtime.manifest_records import CpuOperator, PlacedOperator
from npuface_runtime.plain import build

__all__ = ["BODY", "CPU", "DECODE", "NPU", "CpuOperator", "PlacedOperator", "Placement"]

NPU, CPU = "npu", "cpu"
BODY, DECODE = "body", "decode"


@dataclass(frozen=True)
class Placement:
    """Where the operators of a model file run, in the order of execution."""

    operators: tuple[PlacedOperator, ...]

    @property
    def npu(self) -> int:
        """Number of operators on the NPU."""
        return self.count(NPU)

    @property
    def cpu(self) -> int:
        """Number of operators on the CPU."""
        return self.count(CPU)

    @property
    def decode_npu(self) -> int:
        """Those on the NPU that come after the heatmaps."""
        return self.count(NPU, DECODE)

    @property
    def decode_cpu(self) -> int:
        """Those on the CPU that come after the heatmaps."""
        return self.count(CPU, DECODE)

    @property
    def cpu_operators(self) -> tuple[CpuOperator, ...]:
        """Those on the CPU, one entry for each kind and reason."""
        counted = Counter((placed.operator, placed.reason) for placed in self.operators if placed.device == CPU)
        return tuple(CpuOperator(name, count, reason) for (name, reason), count in sorted(counted.items(), key=str))

    def count(self, device: str, part: str | None = None) -> int:
        """Number of operators on a device, in one part or in both."""
        return sum(placed.device == device and part in (None, placed.part) for placed in self.operators)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Placement:
        """Read back what as_json wrote.

        Raises:
            ValueError: the record names no operators, as that of a CPU engine, or they make no graph.
        """
        placed: tuple[PlacedOperator, ...] = build(tuple[PlacedOperator, ...], record.get("operators"), "operators")
        for index, operator in enumerate(placed):
            if operator.device not in (NPU, CPU) or operator.part not in (BODY, DECODE):
                raise ValueError(f"operators[{index}] is on {operator.device!r} in {operator.part!r}")
            if any(not 0 <= read < index for read in operator.reads):
                raise ValueError(f"operators[{index}] reads what does not come before it")
        return cls(placed)

    def as_json(self) -> Mapping[str, Any]:
        """As the manifest keeps it: counts in body and decode, what is on the CPU and why, and every operator."""
        return {
            **{part: {device: self.count(device, part) for device in (NPU, CPU)} for part in (BODY, DECODE)},
            "npu": self.npu,
            "cpu": self.cpu,
            "cpu_operators": sorted({on_cpu.operator for on_cpu in self.cpu_operators}),
            "reasons": [asdict(on_cpu) for on_cpu in self.cpu_operators],
            "operators": [asdict(placed) for placed in self.operators],
        }
