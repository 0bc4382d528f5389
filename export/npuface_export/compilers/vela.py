"""vela: Arm's compiler for the Ethos-U NPUs. TFLite in, TFLite with one `ethos-u` operator out.

It runs in a process of its own. What went where is read from the model that it writes, and why from
what it prints.
"""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from npuface_export.compilers.compiler import Compilation, CpuOperator, Estimate, Placement
from npuface_export.converters.tflite_graph import HEATMAPS, Graph
from npuface_export.target import Target
from npuface_runtime.errors import UserError

_NPU_OPERATOR = "CUSTOM"
_INSTALL = "install it with: pip install 'npuface[export]'"
_WARNING = re.compile(
    r"operator: (?P<operator>\w+), ofm: '(?P<tensor>[^']*)'\nReason: (?P<reason>[^\n(]*)[^\n]*(?:\n(?P<rule>[^\n]+))?"
)
_LOG_LINES = 12


@dataclass(frozen=True)
class Vela:
    """Arm's compiler (see compiler.Compiler).

    Attributes:
        module: what Python runs.
        timeout: seconds that one model may take.
    """

    module: str = "ethosu.vela"
    timeout: float = 600.0

    def compile(self, model: Path, target: Target, folder: Path) -> Compilation:
        """Compile a TFLite file; the artifact is `device.tflite` in `folder`."""
        if importlib.util.find_spec(self.module.partition(".")[0]) is None:
            raise UserError(f"cannot compile for {target.name}", f"{self.module} is not installed", _INSTALL)
        source = Graph.read(model)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".vela-") as work:
            made, log, summary = self._run(model, target, Path(work) / "whole")
            body_ms = self._body_ms(source, target, Path(work), _milliseconds(summary))
            artifact = made.replace(folder / "device.tflite")
        placement = _placement(source, Graph.read(artifact), log)
        return Compilation(artifact, placement, _estimate(summary, body_ms, placement), self.version())

    def version(self) -> str:
        """Vela's own version."""
        return self._call(("--version",), "ask vela for its version").strip()

    def _body_ms(self, source: Graph, target: Target, work: Path, total: float) -> float | None:
        """Milliseconds of the same network ending at its heatmaps."""
        heatmaps = source.by_name(HEATMAPS)
        if heatmaps is None:
            return None
        if source.outputs == [heatmaps]:
            return total
        path = work / "body.tflite"
        source.copy_ending_at(heatmaps).write(path)
        return _milliseconds(self._run(path, target, work / "body")[2])

    def _run(self, model: Path, target: Target, output: Path) -> tuple[Path, str, Mapping[str, str]]:
        """(compiled model, what vela printed, the row of its summary)."""
        options = [part for key, value in target.compiler_options.items() for part in (f"--{key}", value)]
        log = self._call(
            (str(model), *options, "--show-cpu-operations", "--output-dir", str(output)), f"compile for {target.name}"
        )
        made, summaries = output / f"{model.stem}_vela.tflite", list(output.glob("*summary*.csv"))
        if not made.is_file() or len(summaries) != 1:
            raise _failed(f"compile for {target.name}", "vela wrote no model and summary", log)
        with summaries[0].open(newline="") as stream:
            return made, log, next(csv.DictReader(stream))

    def _call(self, arguments: tuple[str, ...], task: str) -> str:
        command = [sys.executable, "-m", self.module, *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=self.timeout)
        except subprocess.TimeoutExpired:
            raise UserError(f"cannot {task}", f"vela took over {self.timeout:g} s", "try a smaller network") from None
        if done.returncode:
            raise _failed(task, f"vela failed with exit status {done.returncode}", done.stdout + done.stderr)
        return done.stdout


def _failed(task: str, why: str, log: str) -> UserError:
    tail = "\n".join(log.strip().splitlines()[-_LOG_LINES:])
    return UserError(
        f"cannot {task}", f"{why}; it printed:\n{tail}", "check the model and the target's compiler options"
    )


def _placement(source: Graph, compiled: Graph, log: str) -> Placement:
    """Operators that the compiled model still has by their own names run on the CPU."""
    reasons = {match["tensor"]: _reason(match) for match in _WARNING.finditer(log)}
    left = Counter(
        (name, reasons.get(compiled.name(operator.outputs[0])))
        for operator in compiled.operators
        if (name := compiled.operator_name(operator)) != _NPU_OPERATOR
    )
    on_cpu = tuple(CpuOperator(name, count, reason) for (name, reason), count in sorted(left.items(), key=str))
    return Placement(npu=len(source.operators) - left.total(), cpu=left.total(), cpu_operators=on_cpu)


def _reason(match: re.Match[str]) -> str:
    return ". ".join(part.strip().rstrip(".") for part in (match["reason"], match["rule"]) if part and part.strip())


def _milliseconds(summary: Mapping[str, str]) -> float:
    return float(summary["inference_time"]) * 1000


def _estimate(summary: Mapping[str, str], body_ms: float | None, placement: Placement) -> Estimate:
    def kibibytes(*keys: str) -> int:
        return round(sum(float(summary[f"{key}_memory_used"]) for key in keys) * 1024)

    total = _milliseconds(summary)
    return Estimate(
        kind="compiler estimate",
        total_ms=total,
        body_ms=body_ms,
        decode_ms=None if body_ms is None or placement.cpu else total - body_ms,
        cycles=int(float(summary["cycles_total"])),
        sram_bytes=kibibytes("sram"),
        flash_bytes=kibibytes("on_chip_flash", "off_chip_flash"),
        dram_bytes=kibibytes("dram"),
    )


COMPILER = Vela()
