"""apple: Core ML Tools. Float ONNX in, a zipped Core ML package out, an ML program in float16.

It converts and no more: what Core ML puts on the Neural Engine is decided on the Apple device, so there is no
placement, no estimate and no emulator.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from npuface_export.compilers.compiler import Compilation, Tensor
from npuface_export.compilers.in_toolchain import InToolchain
from npuface_export.converters.onnx_graph import load_onnx, tensor_info
from npuface_export.foreign.whole import whole_module
from npuface_export.target import Target
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import TensorInfo

_ARTIFACT = "device.mlpackage.zip"
_TRACED = "network.pt"


@dataclass(frozen=True)
class Apple(InToolchain):
    """Apple's converter (see compiler.Compiler).

    The target's option `deployment_target` is the oldest system that is to run it, by coremltools.target's names.

    Attributes:
        timeout: seconds that one model may take.
        toolchain, emulates: see compiler.Compiler.
    """

    timeout: float = 900.0
    toolchain: str = "apple"
    emulates: bool = False

    def compile(self, model: Path, target: Target, folder: Path, pictures: Sequence[Tensor] = ()) -> Compilation:
        """Convert a float ONNX file; the artifact is `device.mlpackage.zip` in `folder`.

        The tensors of the package have the names, shapes and float32 type of the ONNX file's.
        """
        version, source = self.version(), load_onnx(model)
        picture = tensor_info(source, source.graph.input[0].name)
        outputs = [tensor_info(source, value.name) for value in source.graph.output]
        task = f"convert for {target.name}"
        with tempfile.TemporaryDirectory(dir=folder, prefix=".apple-") as name:
            work = Path(name)
            _trace(model, picture, work / _TRACED)
            request = {
                "traced": _TRACED,
                "input": picture.name,
                "shape": picture.shape,
                "outputs": [output.name for output in outputs],
                "deployment_target": target.compiler_options["deployment_target"],
                "artifact": _ARTIFACT,
            }
            made = self.work(request, work, task, self.timeout)
            check_program(made, [picture], outputs, f"cannot {task}")
            artifact = (work / _ARTIFACT).replace(folder / _ARTIFACT)
        return Compilation(artifact, None, None, version)


def _trace(model: Path, picture: TensorInfo, path: Path) -> None:
    """Write the network as TorchScript, which the toolchain's own torch opens."""
    with torch.no_grad():
        traced = torch.jit.trace(whole_module(model), torch.zeros(picture.shape))
    torch.jit.save(traced, str(path))


def check_program(
    made: Mapping[str, Any], inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], what: str
) -> None:
    """Refuse a program with other tensors than the model's, or with operators that the Neural Engine has no type for.

    The Neural Engine computes in float16. Source: https://apple.github.io/coremltools/docs-guides/source/typed-execution.html

    Raises:
        UserError: it is such a program.
    """
    for kind, tensors in (("inputs", inputs), ("outputs", outputs)):
        expected = {tensor.name: list(tensor.shape) for tensor in tensors}
        if made[kind] != expected:
            raise UserError(
                what, f"its {kind} became {made[kind]}, in the model they are {expected}", "report the model"
            )
    wide = Counter(name for name, dtype in made["operators"] if dtype == "FLOAT32" and name != "cast")
    if wide:
        listed = ", ".join(f"{count} {name}" for name, count in sorted(wide.items()))
        why = f"these operators stayed in float32, which the Neural Engine does not compute: {listed}"
        raise UserError(what, why, "choose another decode form")


COMPILER = Apple()
