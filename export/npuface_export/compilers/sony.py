"""sony: the Model Compression Toolkit and the IMX500 Converter. Float ONNX in, the sensor's package out.

The toolkit quantizes by itself, so it starts from the float model. What the sensor runs it runs as a whole: there is no
CPU beside it, and the converter refuses what does not fit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from npuface_export.compilers.compiler import ESTIMATED, Compilation, Emulation, Estimate, Tensor
from npuface_export.compilers.in_toolchain import InToolchain
from npuface_export.compilers.onnx_placement import onnx_placement
from npuface_export.converters.onnx_graph import load_onnx
from npuface_export.foreign.whole import whole_module
from npuface_export.foreign.with_layers import with_layers
from npuface_export.target import Target
from npuface_runtime.errors import UserError

_ARTIFACT = "device.zip"
_NETWORK, _PICTURES, _OUTPUTS = "network.pt", "pictures.npy", "outputs.npz"
_MADE = Path("converted") / "packerOut.zip"
_NOTE = "memory only: the converter says nothing of time"


@dataclass(frozen=True)
class Sony(InToolchain):
    """Sony's tools (see compiler.Compiler).

    Attributes:
        timeout: seconds that one model may take; the converter takes minutes.
        toolchain, emulates: see compiler.Compiler. The toolkit's quantized network, simulated in float, is the oracle.
    """

    timeout: float = 3600.0
    toolchain: str = "sony"
    emulates: bool = True

    def compile(self, model: Path, target: Target, folder: Path, pictures: Sequence[Tensor] = ()) -> Compilation:
        """Quantize and convert a float ONNX file; the artifact is `device.zip` in `folder`.

        Args:
            model: the float model.
            target: what it is for.
            folder: gets the artifact.
            pictures: network inputs [1, 3, H, W], on which the ranges are measured, too.
        """
        task = f"compile for {target.name}"
        version, source = self.version(), load_onnx(model)
        if not pictures:
            raise UserError(f"cannot {task}", "there are no pictures to measure ranges on", "give some")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".sony-") as name:
            work = Path(name)
            torch.save(with_layers(whole_module(model)), work / _NETWORK)
            np.save(work / _PICTURES, np.stack(pictures))
            request = {"network": _NETWORK, "pictures": _PICTURES, "outputs": _OUTPUTS}
            answer = self.work(request, work, task, self.timeout)
            estimate = estimate_of(answer["report"], f"cannot {task}")
            with np.load(work / _OUTPUTS, allow_pickle=False) as arrays:
                outputs = [[arrays[f"arr_{i}"]] for i in range(len(pictures))]
            artifact = (work / _MADE).replace(folder / _ARTIFACT)
        oracle = f"Model Compression Toolkit of the IMX500 Converter {version}, simulated, on the pictures it measured"
        return Compilation(artifact, onnx_placement(source, {}), estimate, version, Emulation(oracle, outputs))


def estimate_of(report: Mapping[str, Any], what: str) -> Estimate:
    """The memory that the converter's report gives, sizes such as "3922944B".

    Raises:
        UserError: it does not fit into the sensor.
    """
    used, available = (int(report[key].removesuffix("B")) for key in ("Memory Usage", "Total Memory Available On Chip"))
    if not report["Fit In Chip"]:
        raise UserError(what, f"it takes {used:,} bytes of the sensor's {available:,}", "make the network smaller")
    return Estimate(ESTIMATED, sram_bytes=used, note=f"{_NOTE}; the sensor has {available:,} bytes")


COMPILER = Sony()
