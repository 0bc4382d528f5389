"""Quantize a torch network and convert it for Sony's IMX500: python sony.py REQUEST RESPONSE, two JSON files.

Knows nothing of npuface. Sony's Model Compression Toolkit quantizes on the pictures, its imxconv-pt converts. The
network, written by torch.save, holds nothing but torch's own functions and layers.
"""

from __future__ import annotations

import functools
import importlib.machinery
import json
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_QUANTIZED = "quantized.onnx"
_CONVERTED = "converted"
_ARTIFACT = "packerOut.zip"
_NODE = re.compile(
    r"^Node .*\[Framework\.onnx\] op: (?P<operator>\w+), id: (?P<name>[^,\n]+), errors:\n(?P<errors>(?:\t.*\n)+)", re.M
)
_REASON = re.compile(r"param: (.*?)(?= \[\S+:\d+\]$|$)", re.M)
_UNUSED: dict[str, dict[str, Any]] = {
    "torchvision": {"__version__": "0.28.0"},
    "torchvision.transforms": dict.fromkeys(
        ("Normalize", "RandomCrop", "RandomHorizontalFlip", "CenterCrop"), type("Unused", (), {})
    ),
    "torchvision.transforms.transforms": {"_setup_size": None},
}
"""What the toolkit imports for its augmentations, which are not used here, from a package that is not installed."""


def main(request: Path, response: Path) -> None:
    """Answer {"report": the converter's memory report, in bytes}, or why it refuses."""
    asked = json.loads(request.read_text(encoding="utf-8"))
    _stand_in()
    pictures = np.load(asked["pictures"], allow_pickle=False)
    np.savez(asked["outputs"], *_quantize(asked["network"], pictures))
    response.write_text(json.dumps(_convert()), encoding="utf-8")


def _stand_in() -> None:
    for name, attributes in _UNUSED.items():
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__path__ = []
        module.__dict__.update(attributes)
        sys.modules[name] = module


def _quantize(network: str, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Write the quantized ONNX model; what the quantized network, simulated in float, makes of every picture."""
    import model_compression_toolkit as toolkit

    def representative() -> Iterator[list[NDArray[np.float32]]]:
        for picture in pictures:
            yield [picture]

    quantized, _ = toolkit.ptq.pytorch_post_training_quantization(
        torch.load(network, weights_only=False),
        representative,
        target_platform_capabilities=toolkit.get_target_platform_capabilities("pytorch", "imx500"),
    )
    with torch.no_grad():
        outputs = [quantized(torch.from_numpy(picture)).numpy() for picture in pictures]
    # the newer exporter knows none of the toolkit's quantizers
    torch.onnx.export = functools.partial(torch.onnx.export, dynamo=False)
    toolkit.exporter.pytorch_export_model(quantized, save_model_path=_QUANTIZED, repr_dataset=representative)
    return outputs


def _convert() -> dict[str, Any]:
    command = [
        str(Path(sys.executable).with_name("imxconv-pt")),
        *("-i", _QUANTIZED, "-o", _CONVERTED, "--no-input-persistency", "--report-size-unit", "B"),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print(done.stdout)
    reports = list(Path(_CONVERTED).glob("*MemoryReport.json"))
    if done.returncode or not reports or not (Path(_CONVERTED) / _ARTIFACT).is_file():
        why = "; ".join(_refusals(done.stdout)) or f"imxconv-pt ended with exit status {done.returncode}"
        return {"error": {"why": why, "fix": "force the decode form onebyone or host, or take a smaller network"}}
    return {"report": json.loads(reports[0].read_text(encoding="utf-8"))["Memory Report"]}


def _refusals(printed: str) -> list[str]:
    """The converter's reasons, node by node; where it names no node, its lines with ERROR."""
    reasons = [
        f"{node['operator']} {node['name']}: {', '.join(_REASON.findall(node['errors'])) or node['errors'].strip()}"
        for node in _NODE.finditer(printed)
    ]
    return reasons or [line for line in printed.splitlines() if "ERROR" in line]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
