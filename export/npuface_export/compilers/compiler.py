"""What every vendor compiler does: a model file -> what the NPU itself runs, where each operator went, and a cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from npuface_export.compilers.placement import Placement
from npuface_export.target import Target

Tensor = NDArray[np.generic]
ESTIMATED, EXACT_SIZE = "compiler estimate", "exact size"


@dataclass(frozen=True)
class Estimate:
    """What a model costs on the NPU; None for what a vendor's tool does not say.

    Attributes:
        kind: what kind of number it is: measured, emulated, compiler estimate, or exact size where it tells the size of
            what was compiled and no more.
        total_ms: one inference; only the NPU's share where operators are on the CPU.
        body_ms: the same network ending at its heatmaps; None where the model has no heatmaps to end at.
        decode_ms: the difference, which can be negative: heatmaps that stay inside need not be written out.
            None where operators of it are on the CPU, whose time the compiler does not know.
        cycles: NPU clock cycles of one inference.
        sram_bytes, flash_bytes, dram_bytes: memory in use.
        moved_bytes: read from and written to memory in one inference.
        decode_cycles: of the operators after the heatmaps, by the compiler's names.
        note: what these figures leave out.
    """

    kind: str = ESTIMATED
    total_ms: float | None = None
    body_ms: float | None = None
    decode_ms: float | None = None
    cycles: int | None = None
    sram_bytes: int | None = None
    flash_bytes: int | None = None
    dram_bytes: int | None = None
    moved_bytes: int | None = None
    decode_cycles: Mapping[str, int] = field(default_factory=dict)
    note: str | None = None

    def as_json(self) -> Mapping[str, Any]:
        """As the manifest keeps it."""
        return asdict(self)


@dataclass(frozen=True)
class Emulation:
    """What the vendor's own emulator made of some pictures.

    Attributes:
        oracle: what computed it, for people: the emulator and its version.
        outputs: for each picture the model's outputs, in its own order, types and layouts.
    """

    oracle: str
    outputs: Sequence[Sequence[Tensor]]


@dataclass(frozen=True)
class Compilation:
    """What a vendor compiler made.

    Attributes:
        artifact: the file that the device runs.
        placement: where the operators went; None where the vendor's tool does not tell.
        estimate: what it costs; None where the vendor's tool does not tell.
        version: of the compiler.
        emulation: None where the vendor has no emulator; the bundle's model then stands for the NPU's.
    """

    artifact: Path
    placement: Placement | None
    estimate: Estimate | None
    version: str
    emulation: Emulation | None = None


class Compiler(Protocol):
    """One vendor's compiler."""

    toolchain: str | None
    """The toolchain that it runs in (see npuface_export.toolchains); None where it is installed beside npuface."""
    emulates: bool
    """Whether the vendor's tool also computes what the NPU would."""

    def version(self) -> str:
        """The compiler's own version.

        Raises:
            UserError: it is not installed; the fix is the one command that installs it.
        """
        ...

    def compile(self, model: Path, target: Target, folder: Path, pictures: Sequence[Tensor] = ()) -> Compilation:
        """Compile a model file for a target, with the artifact in `folder`.

        Args:
            model: in the format of the target's converter.
            target: what it is for.
            folder: gets the artifact, and nothing else that stays.
            pictures: network inputs, as the model takes them, to run through the vendor's emulator.

        Raises:
            UserError: the compiler is missing, refuses the model, fails, or takes too long.
        """
        ...
