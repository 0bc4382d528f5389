"""A bundle that is quick to make and to run."""

from __future__ import annotations

from pathlib import Path

import torch

from npuface_export.export import export_bundle
from npuface_export.network import Network
from npuface_export.target import target_by_name
from npuface_toolkit.student import STRIDE, HeatmapNetwork, Student, StudentConfig

SIZE = 64


def write_small_bundle(folder: Path) -> None:
    """A student with random weights in ONNX Runtime."""
    torch.manual_seed(0)
    module = HeatmapNetwork(
        Student(StudentConfig(input_size=SIZE, points=68, boundaries=13, width=0.25, depth=1))
    ).eval()
    gray = (127.5, 127.5, 127.5)
    cells, middle = (SIZE // STRIDE,) * 2, ((STRIDE - 1) / 2,) * 2
    where = ((SIZE, SIZE), cells, (STRIDE, STRIDE), middle)
    network = Network("tiny", module, *where, 68, "ibug-68", gray, gray, 1.3, threshold=0.3, beta=20, sigma=1.5)
    export_bundle(network, target_by_name("onnxruntime-cpu"), folder, form="relative-threshold")
