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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from npuface_export.compilers.compiler import ESTIMATED, Compilation, Estimate, Tensor
from npuface_export.compilers.placement import BODY, CPU, DECODE, NPU, PlacedOperator, Placement
from npuface_export.converters.litert_layers import module_of
from npuface_export.converters.tflite_graph import HEATMAPS, Graph
from npuface_export.target import Target
from npuface_export.toolchains.ended import FREE_SPACE, how_it_ended, says_full_disk
from npuface_runtime.errors import UserError

_NPU_OPERATOR = "ethos-u"
"""The custom code of the operator that the NPU runs.
Source: https://gitlab.arm.com/artificial-intelligence/ethos-u/ethos-u-vela, ethosu/vela/tflite_writer.py
"""
_INSTALL = "install it with: pip install 'npuface[export]'"
_WARNING = re.compile(
    r"operator: (?P<operator>\w+), ofm: '(?P<tensor>[^']*)'\nReason: (?P<reason>[^\n(]*)[^\n]*(?:\n(?P<rule>[^\n]+))?"
)
_LOG_LINES = 12
_LOWER_BOUND = "a lower bound: Vela estimates the NPU's share alone, not what is on the CPU"


@dataclass(frozen=True)
class _Run:
    """The compiled model, what vela printed, the row of its summary, and its rows of layers in order of execution."""

    model: Path
    log: str
    summary: Mapping[str, str]
    layers: Sequence[Mapping[str, str]]

    @property
    def milliseconds(self) -> float:
        return float(self.summary["inference_time"]) * 1000


@dataclass(frozen=True)
class Vela:
    """Arm's compiler (see compiler.Compiler).

    Attributes:
        module: what Python runs.
        timeout: seconds that one model may take.
        toolchain, emulates: see compiler.Compiler. The LiteRT interpreter runs the same INT8 file as the NPU, bit for
            bit but for rounding, so the bundle's own engine is the oracle.
    """

    module: str = "ethosu.vela"
    timeout: float = 600.0
    toolchain: str | None = None
    emulates: bool = False

    def compile(self, model: Path, target: Target, folder: Path, pictures: Sequence[Tensor] = ()) -> Compilation:
        """Compile a TFLite file; the artifact is `device.tflite` in `folder`. It runs no pictures: LiteRT does."""
        version = self.version()
        source = Graph.read(model)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".vela-") as work:
            whole = self._run(model, target, Path(work) / "whole")
            body_ms = self._body_ms(source, target, Path(work), whole.milliseconds)
            artifact = whole.model.replace(folder / "device.tflite")
        placement = _placement(source, Graph.read(artifact), whole.log)
        return Compilation(artifact, placement, _estimate(whole, body_ms, placement), version)

    def version(self) -> str:
        """Vela's own version (see compiler.Compiler.version)."""
        if importlib.util.find_spec(self.module.partition(".")[0]) is None:
            raise UserError("cannot compile for the Ethos-U", f"{self.module} is not installed", _INSTALL)
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
        return self._run(path, target, work / "body").milliseconds

    def _run(self, model: Path, target: Target, output: Path) -> _Run:
        options = [part for key, value in target.compiler_options.items() for part in (f"--{key}", value)]
        log = self._call(
            (str(model), *options, "--show-cpu-operations", "--verbose-performance", "--output-dir", str(output)),
            f"compile for {target.name}",
        )
        made = output / f"{model.stem}_vela.tflite"
        summaries, layers = _rows(output, "*summary*.csv"), _rows(output, "*per-layer.csv")
        if not made.is_file() or not summaries:
            raise _failed(f"compile for {target.name}", "vela wrote no model and summary", log)
        return _Run(made, log, summaries[0], layers)

    def _call(self, arguments: tuple[str, ...], task: str) -> str:
        command = [sys.executable, "-m", self.module, *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=self.timeout)
        except subprocess.TimeoutExpired:
            raise UserError(f"cannot {task}", f"vela took over {self.timeout:g} s", "try a smaller network") from None
        if done.returncode:
            raise _failed(task, f"vela {how_it_ended(done.returncode)}", done.stdout + done.stderr)
        return done.stdout


def _failed(task: str, why: str, log: str) -> UserError:
    tail = "\n".join(log.strip().splitlines()[-_LOG_LINES:])
    printed = f"{why}; it printed:\n{tail}"
    if says_full_disk(log):
        return UserError(f"cannot {task}", f"the disk is full: {printed}", FREE_SPACE)
    return UserError(f"cannot {task}", printed, "check the model and the target's compiler options")


def _rows(folder: Path, pattern: str) -> list[dict[str, str]]:
    """The rows of a table that vela wrote; none where it wrote no such table."""
    path = next(iter(sorted(folder.glob(pattern))), None)
    if path is None:
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _placement(source: Graph, compiled: Graph, log: str) -> Placement:
    """All but the `ethos-u` operators of the compiled model run on the CPU, most by the names that they had before."""
    reasons = {match["tensor"]: _reason(match) for match in _WARNING.finditer(log)}
    on_cpu = {
        compiled.name(operator.outputs[0])
        for operator in compiled.operators
        if compiled.custom_code(operator) != _NPU_OPERATOR
    }
    heatmaps = source.by_name(HEATMAPS)
    after = [] if heatmaps is None else source.downstream([heatmaps])
    decode = {source.name(operator.outputs[0]) for operator in after}
    made_by = {int(tensor): i for i, operator in enumerate(source.operators) for tensor in operator.outputs}
    placed = []
    for operator in source.operators:
        tensor = source.name(operator.outputs[0])
        placed.append(
            PlacedOperator(
                name=module_of(tensor),
                operator=source.operator_name(operator),
                device=CPU if tensor in on_cpu else NPU,
                part=DECODE if tensor in decode else BODY,
                reads=tuple(made_by[int(i)] for i in operator.inputs if int(i) in made_by),
                reason=reasons.get(tensor) if tensor in on_cpu else None,
            )
        )
    missing = on_cpu - {source.name(operator.outputs[0]) for operator in source.operators}
    return Placement(_with_added(source, placed, compiled, missing, reasons))


def _with_added(
    source: Graph, placed: Sequence[PlacedOperator], compiled: Graph, tensors: set[str], reasons: Mapping[str, str]
) -> tuple[PlacedOperator, ...]:
    """The placed operators of the source, and those on the CPU that the compiler put in itself, by what they write.

    One that reads nothing but what the body makes of the picture is in the body, every other one in the decode.
    """
    known, parts = list(placed), {source.name(tensor): BODY for tensor in source.inputs}
    made_by = {source.name(int(tensor)): i for i, op in enumerate(source.operators) for tensor in op.outputs}
    parts |= {name: DECODE if name == HEATMAPS else known[index].part for name, index in made_by.items()}
    for operator in compiled.operators:
        name = compiled.name(operator.outputs[0])
        if name in tensors:
            read = [compiled.name(int(i)) for i in operator.inputs if i >= 0 and not compiled.is_constant(int(i))]
            part = BODY if all(parts.get(each) == BODY for each in read) else DECODE
            reads = tuple(dict.fromkeys(made_by[each] for each in read if each in made_by))
            kind, reason = compiled.operator_name(operator), reasons.get(name)
            made_by[name], parts[name] = len(known), part
            known.append(PlacedOperator(module_of(name), kind, CPU, part, reads, reason))
    return tuple(known)


def _reason(match: re.Match[str]) -> str:
    return ". ".join(part.strip().rstrip(".") for part in (match["reason"], match["rule"]) if part and part.strip())


def _decode_cycles(layers: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Cycles by operator of the layers that run after the one that writes the heatmaps."""
    last = max((i for i, layer in enumerate(layers) if layer["Name"] == HEATMAPS), default=len(layers))
    cycles: Counter[str] = Counter()
    for layer in layers[last + 1 :]:
        cycles[layer["Original Operator"]] += int(float(layer["Op Cycles"]))
    return {name: count for name, count in sorted(cycles.items()) if count}


def _estimate(run: _Run, body_ms: float | None, placement: Placement) -> Estimate:
    summary, total = run.summary, run.milliseconds

    def kibibytes(*keys: str) -> int:
        return round(sum(float(summary[f"{key}_memory_used"]) for key in keys) * 1024)

    return Estimate(
        kind=ESTIMATED,
        total_ms=total,
        body_ms=body_ms,
        decode_ms=None if body_ms is None or placement.decode_cpu else total - body_ms,
        cycles=int(float(summary["cycles_total"])),
        sram_bytes=kibibytes("sram"),
        flash_bytes=kibibytes("on_chip_flash", "off_chip_flash"),
        dram_bytes=kibibytes("dram"),
        decode_cycles=_decode_cycles(run.layers),
        note=_LOWER_BOUND if placement.cpu else None,
    )


COMPILER = Vela()
