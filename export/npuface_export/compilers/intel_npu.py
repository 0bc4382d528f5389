"""intel_npu: OpenVINO's compiler for the NPUs in Intel's Core Ultra processors. OpenVINO IR in, the NPU's blob out.

It runs in a process of its own. What it costs is read from what that prints.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npuface_export.compilers.compiler import ESTIMATED, Compilation, Estimate, Tensor
from npuface_export.compilers.placement import BODY, DECODE, NPU, PlacedOperator, Placement
from npuface_export.converters.onnx_graph import HEATMAPS
from npuface_export.converters.openvino_graph import dependent
from npuface_export.target import Target
from npuface_export.toolchains.exchange import LOGS, WORKERS, Interpreter, run_worker
from npuface_export.toolchains.toolchain import toolchains_home
from npuface_runtime.errors import UserError, reason_of

_PLUGIN = "https://github.com/openvinotoolkit/openvino/blob/master/src/plugins/intel_npu/README.md"
"""The vendor's description of what compiles and runs models there."""
_ARTIFACT = "device.blob"
_INSTALL = "install it with: pip install 'npuface[openvino]'"
_ELSEWHERE = (
    "run it on a machine with that NPU and its driver, which brings a compiler, or on Windows, where OpenVINO's wheel "
    "has one; a float bundle can be carried there"
)
_LOGGED = {
    "LOG_LEVEL": "LOG_INFO",
    "NPU_COMPILATION_MODE_PARAMS": "enable-schedule-trace=true dump-task-stats=true",
}
"""Makes the compiler say what it expects the model to take."""
_LATENCY = re.compile(r"Estimated inference latency: (?P<microseconds>\d[\d.]*(?:e[+-]?\d+)?) ?us")
"""As the vendor's compiler logs it: https://github.com/openvinotoolkit/npu_compiler, the pass
inference-execution-analysis; its "Compiler Schedule Trace" guide has the line `Estimated inference latency: 942.78us`.
"""
_UNKNOWN = re.compile(r"There are (?P<tasks>\d+) tasks with invalid cost")
"""The same pass's warning: such tasks count as one cycle."""


@dataclass(frozen=True)
class IntelNpu:
    """Intel's compiler (see compiler.Compiler).

    OpenVINO takes the compiler library of its own package, for any NPU; where there is none, as in its Linux wheel,
    that of the driver, for the NPU of the machine alone. Source: _PLUGIN, NPU_COMPILER_TYPE.

    Attributes:
        worker: the script that Python runs.
        timeout: seconds that one model may take.
        toolchain, emulates: see compiler.Compiler. There is no emulator.
    """

    worker: Path = WORKERS / "intel_npu.py"
    timeout: float = 600.0
    toolchain: str | None = None
    emulates: bool = False

    def version(self) -> str:
        """OpenVINO's version and the compiler's (see compiler.Compiler.version)."""
        task = "compile for the Intel NPU"
        if importlib.util.find_spec("openvino") is None:
            raise UserError(f"cannot {task}", "openvino is not installed", _INSTALL)
        with tempfile.TemporaryDirectory(prefix="npuface-") as work:
            answer, _ = self._call({}, Path(work), task, _ELSEWHERE)
        major, minor = divmod(answer["compiler"], 1 << 16)  # source: _PLUGIN, NPU_COMPILER_VERSION
        return f"OpenVINO {answer['openvino'].split('-')[0]}, NPU compiler {major}.{minor}"

    def compile(self, model: Path, target: Target, folder: Path, pictures: Sequence[Tensor] = ()) -> Compilation:
        """Compile an OpenVINO IR, whose weights lie beside it; the artifact is `device.blob` in `folder`.

        The placement follows from success: "the plugin will not use the CPU to execute any part of the inference
        workload", says _PLUGIN under Model Execution.
        """
        version = self.version()
        placement = ir_placement(model)
        fix = "check the model and the target's compiler options"
        with tempfile.TemporaryDirectory(dir=folder, prefix=".intel-") as work:
            made = Path(work) / _ARTIFACT
            request = {
                "model": str(model.resolve()),
                "artifact": str(made.resolve()),
                "properties": {**_LOGGED, **target.compiler_options},
            }
            _, log = self._call(request, Path(work), f"compile for {target.name}", fix)
            artifact = made.replace(folder / _ARTIFACT)
        return Compilation(artifact, placement, estimate_of(log), version)

    def _call(self, request: Mapping[str, Any], work: Path, task: str, fix: str) -> tuple[Mapping[str, Any], str]:
        """The worker's answer, and what was printed. It runs in `work`, where the compiler leaves its trace."""
        beside_us = Interpreter("OpenVINO", Path(sys.executable), toolchains_home() / LOGS)
        answer, log = run_worker(beside_us, self.worker, request, work, task=task, timeout=self.timeout)
        if "refused" in answer:
            raise UserError(f"cannot {task}", reason_of(RuntimeError(answer["refused"])), fix)
        return answer, log.read_text(encoding="utf-8", errors="replace")


def ir_placement(model: Path) -> Placement:
    """The operators of an OpenVINO IR, all of them on the NPU.

    Raises:
        UserError: the file is no OpenVINO model.
    """
    import openvino

    try:
        graph = openvino.Core().read_model(str(model))
    except RuntimeError as error:
        what, why = f"cannot read {model.name}", f"it is no OpenVINO model ({reason_of(error)})"
        raise UserError(what, why, "export it again") from None
    nodes = dependent(graph, {node.get_friendly_name() for node in graph.get_parameters()})
    heatmaps = {
        node.get_friendly_name()
        for node in graph.get_ordered_ops()
        if any(HEATMAPS in port.get_names() for port in node.outputs())
    }
    decode = {node.get_friendly_name() for node in dependent(graph, heatmaps)}
    order = {node.get_friendly_name(): i for i, node in enumerate(nodes)}
    placed = []
    for node in nodes:
        name = node.get_friendly_name()
        sources = [value.get_node().get_friendly_name() for value in node.input_values()]
        reads = tuple(order[source] for source in sources if source in order)
        placed.append(PlacedOperator(name, node.get_type_name(), NPU, DECODE if name in decode else BODY, reads))
    return Placement(tuple(placed))


def estimate_of(log: str) -> Estimate | None:
    """The latency that the compiler expects; None where it logs none."""
    found = _LATENCY.search(log)
    if found is None:
        return None
    unknown = _UNKNOWN.search(log)
    note = "from Intel's cost model; it does not tell body and decode apart"
    if unknown is not None:
        note += f", and has no cost for {unknown['tasks']} tasks, which it leaves out"
    return Estimate(ESTIMATED, total_ms=float(found["microseconds"]) / 1000, note=note)


COMPILER = IntelNpu()
