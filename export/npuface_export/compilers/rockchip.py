"""rockchip: RKNN-Toolkit2, Rockchip's compiler and simulator for its NPUs. QDQ ONNX in, RKNN out.

It runs in a toolchain of its own. What goes where is read from the table of layers that it prints: they are what runs,
and not always what stood in the model.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from npuface_export.compilers.compiler import ESTIMATED, Compilation, Emulation, Estimate, Tensor
from npuface_export.compilers.in_toolchain import InToolchain
from npuface_export.compilers.placement import DECODE, Placement
from npuface_export.compilers.rockchip_graph import layers_that_run, placement_of
from npuface_export.compilers.rockchip_log import BuildLog, read_build_log
from npuface_export.converters.onnx_graph import load_onnx, tensor_info
from npuface_export.target import Target
from npuface_runtime.errors import UserError

_ARTIFACT = "device.rknn"
_PICTURES = "pictures.npy"
_ON_CPU = "the toolkit's table of layers puts it there, without a reason"
_UNESTIMATED = "a lower bound: the toolkit lists no cycles for its layers without a convolution ({kinds})"


@dataclass(frozen=True)
class Rockchip(InToolchain):
    """Rockchip's compiler (see compiler.Compiler).

    The target's options: `platform`, the chip by the toolkit's name; `disable_rules`, the toolkit's rewritings that are
    switched off, separated by commas; `cpu`, what it means for the device if a layer is on the CPU.

    Attributes:
        timeout: seconds that one model may take.
        toolchain, emulates: see compiler.Compiler.
    """

    timeout: float = 900.0
    toolchain: str = "rockchip"
    emulates: bool = True

    def compile(self, model: Path, target: Target, folder: Path, pictures: Sequence[Tensor] = ()) -> Compilation:
        """Compile a QDQ ONNX file; the artifact is `device.rknn` in `folder` (see compiler.Compiler.compile)."""
        version, source = self.version(), load_onnx(model)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".rockchip-") as name:
            work = Path(name)
            answer = self._call(model, target, work, pictures)
            log = read_build_log((work / answer["printed"]).read_text(encoding="utf-8", errors="replace"))
            reason = target.compiler_options.get("cpu", _ON_CPU)
            own = onnx.load_model_from_string((work / answer["graph"]).read_bytes())  # its operators pass no checker
            placement = placement_of(source, own, log, reason)
            outputs = _outputs(work / answer["outputs"], source, len(pictures)) if pictures else None
            artifact = (work / _ARTIFACT).replace(folder / _ARTIFACT)
        emulation = Emulation(f"RKNN-Toolkit2 {version}, simulator", outputs) if outputs else None
        return Compilation(artifact, placement, _estimate(log, placement), version, emulation)

    def _call(self, model: Path, target: Target, work: Path, pictures: Sequence[Tensor]) -> Mapping[str, Any]:
        options = target.compiler_options
        if pictures:
            np.save(work / _PICTURES, np.stack(pictures))
        request = {
            "model": str(model.resolve()),
            "platform": options["platform"],
            "disable_rules": [rule for rule in options.get("disable_rules", "").split(",") if rule],
            "artifact": _ARTIFACT,
            "pictures": _PICTURES if pictures else None,
        }
        return self.work(request, work, f"compile for {target.name}", self.timeout)


def _outputs(path: Path, model: onnx.ModelProto, count: int) -> list[list[Tensor]]:
    """What the simulator made of each picture: float32, in the shapes of the model's outputs."""
    shapes = [tensor_info(model, value.name).shape for value in model.graph.output]
    with np.load(path, allow_pickle=False) as arrays:
        made = [[arrays[f"{number}-{place}"] for place in range(len(shapes))] for number in range(count)]
    for outputs in made:
        for output, shape in zip(outputs, shapes, strict=True):
            if output.shape != shape:
                why = f"an output of the simulator has shape {output.shape}, in the model it has {shape}"
                raise UserError("cannot use what Rockchip's simulator gave", why, "choose another decode form")
    return made


def _estimate(log: BuildLog, placement: Placement) -> Estimate:
    """The toolkit's cycles and traffic. What it lists no cycles for is named."""
    layers, cycles = layers_that_run(log), Counter[str]()
    for layer, placed in zip(layers, placement.operators, strict=True):
        if placed.part == DECODE:
            cycles[layer.operator] += layer.cycles
    unestimated = sorted({layer.operator for layer in layers if not layer.cycles})
    wide = Counter(
        layer.dtype.lower()
        for layer, placed in zip(layers, placement.operators, strict=True)
        if placed.part != DECODE and layer.dtype != "INT8"
    )
    notes = [_UNESTIMATED.format(kinds=", ".join(unestimated))] if unestimated else []
    notes += [f"{count} layers of the body are in {dtype}" for dtype, count in sorted(wide.items())]
    return Estimate(
        kind=ESTIMATED,
        cycles=sum(layer.cycles for layer in layers),
        flash_bytes=log.weight_bytes,
        dram_bytes=log.internal_bytes,
        moved_bytes=sum(layer.moved_bytes for layer in layers),
        decode_cycles={name: count for name, count in sorted(cycles.items()) if count},
        note="; ".join(notes) or None,
    )


COMPILER = Rockchip()
