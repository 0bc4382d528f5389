"""qualcomm: the Hexagon Tensor Processor (HTP), through onnxruntime's QNN provider and its x86 emulator.

QDQ ONNX in, ONNX out, in which one EPContext node holds the context binary that Qualcomm's tool compiled.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from npuface_export.compilers.compiler import EXACT_SIZE, Compilation, Emulation, Estimate, Tensor
from npuface_export.compilers.in_toolchain import InToolchain
from npuface_export.compilers.onnx_placement import onnx_placement, operator_names
from npuface_export.compilers.placement import Placement
from npuface_export.converters.onnx_graph import load_onnx
from npuface_export.target import Target
from npuface_runtime.errors import UserError

_ARTIFACT = "device.onnx"
_CONTEXT = "EPContext"
_LAYOUT = re.compile(r"_token_\d+$")
"""What onnxruntime adds to the name of a node that it brings from NCHW to NHWC."""
_NOTE = "the size of the context binary; without the chip Qualcomm's tool tells no latency and no memory"


@dataclass(frozen=True)
class Qualcomm(InToolchain):
    """Qualcomm's compiler and emulator (see compiler.Compiler).

    Attributes:
        timeout: seconds that compiling one model may take.
        picture_timeout: seconds that the emulator may take for one picture.
        toolchain, emulates: see compiler.Compiler. The pictures run through the artifact itself.
    """

    timeout: float = 300.0
    picture_timeout: float = 60.0
    toolchain: str = "qualcomm"
    emulates: bool = True

    def compile(self, model: Path, target: Target, folder: Path, pictures: Sequence[Tensor] = ()) -> Compilation:
        """Compile a QDQ ONNX file; the artifact is `device.onnx` in `folder` (see compiler.Compiler.compile).

        Where the NPU takes the whole model, as it must in the provider's strict mode, the artifact is one EPContext
        node. Otherwise it also holds the nodes that are left to the CPU, which the placement names.
        """
        version, task = self.version(), f"compile for {target.name}"
        source = load_onnx(model)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".qualcomm-") as work:
            request = {
                "model": str(model.resolve()),
                "options": dict(target.compiler_options),
                "artifact": _ARTIFACT,
                "pictures": _saved(pictures, Path(work)),
            }
            timeout = self.timeout + self.picture_timeout * len(pictures)
            answer = self.work(request, Path(work), task, timeout)
            _check_target(answer["target"], target, task)
            placement = _placement(source, answer, task)
            emulation = _emulation(Path(work), len(pictures), len(source.graph.output), target, version)
            artifact = (Path(work) / _ARTIFACT).replace(folder / _ARTIFACT)
        estimate = Estimate(EXACT_SIZE, flash_bytes=int(answer["context_bytes"]), note=_NOTE)
        return Compilation(artifact, placement, estimate, version, emulation)


def _saved(pictures: Sequence[Tensor], work: Path) -> str | None:
    if not pictures:
        return None
    np.save(work / "pictures.npy", np.concatenate(pictures))
    return "pictures.npy"


def _check_target(found: Mapping[str, Any], target: Target, task: str) -> None:
    """Refuse an artifact for another chip than the target's."""
    asked = {key: target.compiler_options[key] for key in ("htp_arch", "soc_model")}
    made = {key: str(found[key]).removeprefix("V") for key in asked}
    if made != asked:
        raise UserError(
            f"cannot {task}",
            f"Qualcomm's tool compiled for {made}, not {asked}",
            "correct the target's compiler_options",
        )


def _placement(source: onnx.ModelProto, answer: Mapping[str, Any], task: str) -> Placement:
    """All on the NPU where the artifact is one EPContext node, which holds no operator of the model.

    Otherwise those are on the CPU that the QNN provider did not take by their names.
    """
    if answer["nodes"] == [_CONTEXT]:
        return onnx_placement(source, {})
    names = operator_names(source)

    def known(name: str) -> str:
        return name if name in names else _LAYOUT.sub("", name)

    left = names - {known(name) for name in answer["npu"]}
    if not left:
        raise UserError(
            f"cannot {task}",
            f"the artifact is not one {_CONTEXT} node but {', '.join(answer['nodes'])}",
            "use another version of onnxruntime-qnn",
        )
    reasons = {known(name): reason for name, reason in answer["reasons"].items()}
    return onnx_placement(source, {name: reasons.get(name) for name in left})


def _emulation(work: Path, pictures: int, outputs: int, target: Target, version: str) -> Emulation | None:
    if not pictures:
        return None
    with np.load(work / "outputs.npz", allow_pickle=False) as saved:
        values = [[saved[f"{i}_{j}"] for j in range(outputs)] for i in range(pictures)]
    arch = target.compiler_options["htp_arch"]
    return Emulation(f"Qualcomm's HTP v{arch} emulator, onnxruntime-qnn {version}", values)


COMPILER = Qualcomm()
