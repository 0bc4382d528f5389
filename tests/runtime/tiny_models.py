"""A landmark network small enough to reason about, for every engine, and bundles around it.

`dots`: RGB [1, 3, 64, 64] -> heatmaps [1, 2, 16, 16], the mean of red and of green in every 4 x 4 pixels, and
their sums [1, 2, 1, 1]. The landmark of a map is the centre of mass of a dot in that colour, so where it must lie
is known from the picture alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from npuface_runtime.engines import TensorSpec
from npuface_runtime.manifest import (
    FILE_NAME,
    Decode,
    FileInfo,
    HeatmapInfo,
    Landmarks,
    Manifest,
    Preprocess,
    TensorInfo,
    sha256_of,
)

SIZE, STRIDE, CELLS, POINTS = 64, 4, 16, 2
MARGIN = 1.3
CONFIDENCE = 0.8
"""What stands in the manifest as that of a clear face; dots have 0.85."""
HEATMAPS, SUMS = "heatmaps", "sums"
_PICK = np.array([[1, 0, 0], [0, 1, 0]], np.float32).reshape(POINTS, 3, 1, 1)


def reference(picture: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What `dots` computes, in float64 numpy."""
    red_green = np.maximum(picture[:, :2].astype(np.float64), 0)
    maps = red_green.reshape(1, POINTS, CELLS, STRIDE, CELLS, STRIDE).mean(axis=(3, 5))
    return maps, maps.sum(axis=(2, 3), keepdims=True)


def onnx_model(path: Path, shape: tuple[Any, ...] = (1, 3, SIZE, SIZE)) -> Path:
    nodes = [
        helper.make_node("Conv", ["picture", "pick"], ["picked"]),
        helper.make_node("Relu", ["picked"], ["positive"]),
        helper.make_node(
            "AveragePool", ["positive"], [HEATMAPS], kernel_shape=[STRIDE, STRIDE], strides=[STRIDE, STRIDE]
        ),
        helper.make_node("ReduceSum", [HEATMAPS, "axes"], [SUMS], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "dots",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(HEATMAPS, TensorProto.FLOAT, (shape[0], POINTS, CELLS, CELLS)),
            helper.make_tensor_value_info(SUMS, TensorProto.FLOAT, (shape[0], POINTS, 1, 1)),
        ],
        [
            onnx.numpy_helper.from_array(_PICK, "pick"),
            onnx.numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def openvino_model(onnx_file: Path, folder: Path) -> dict[str, Path]:
    import openvino

    target = folder / "dots.xml"
    openvino.save_model(openvino.convert_model(onnx_file), target, compress_to_fp16=False)
    return {"model": target, "weights": target.with_suffix(".bin")}


def tflite_model(path: Path) -> Path:
    import litert_torch
    import torch
    from torch import nn

    class Dots(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pick = nn.Conv2d(3, POINTS, 1, bias=False)
            self.pick.weight = nn.Parameter(torch.from_numpy(_PICK), requires_grad=False)
            self.pool = nn.AvgPool2d(STRIDE, STRIDE)

        def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            maps = self.pool(torch.relu(self.pick(picture)))
            return maps, maps.sum(dim=(2, 3), keepdim=True)

    litert_torch.convert(Dots().eval(), (torch.zeros(1, 3, SIZE, SIZE),)).export(str(path))
    return path


def int8_tflite_model(source: Path, path: Path) -> Path:
    """The same in INT8, its ranges taken from pictures in 0..1."""
    from ai_edge_quantizer import quantizer, recipe

    rng = np.random.default_rng(0)
    samples = {"serving_default": [{"args_0": rng.random((1, 3, SIZE, SIZE), np.float32)} for _ in range(4)]}
    work = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    work.quantize(work.calibrate(samples)).export_model(str(path), overwrite=True)
    return path


def write_bundle(
    folder: Path, engine: str, files: dict[str, Path], input: TensorSpec, output: TensorSpec, **changes: Any
) -> Path:
    """A bundle around a `dots` model whose heatmaps leave the network."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = {}
    for role, file in files.items():
        (folder / file.name).write_bytes(file.read_bytes())
        packed[role] = FileInfo(file.name, sha256_of(file), file.stat().st_size)
    fields: dict[str, Any] = {
        "name": "dots",
        "target": f"{engine}-cpu",
        "engine": engine,
        "precision": "float32",
        "files": packed,
        "input": TensorInfo(input.name, input.shape, input.dtype, "NCHW"),
        "outputs": (TensorInfo(output.name, output.shape, output.dtype, "NCHW"),),
        "preprocess": Preprocess((0.0, 0.0, 0.0), (255.0, 255.0, 255.0), MARGIN),
        "landmarks": Landmarks("dots-2", POINTS),
        "heatmap": HeatmapInfo(CELLS, CELLS, (STRIDE, STRIDE), (1.5, 1.5), output.name),
        "decode": Decode("host", "heatmaps", {"threshold": 0.3}, 4 * POINTS * CELLS**2, face_confidence=CONFIDENCE),
    }
    manifest = Manifest(**(fields | changes))
    write_manifest(folder, manifest.as_json())
    return folder


def write_manifest(folder: Path, raw: dict[str, Any]) -> None:
    import json

    (folder / FILE_NAME).write_text(json.dumps(raw))


def dotted_frame(
    width: int, height: int, red: tuple[float, float], green: tuple[float, float], sigma: float = 8.0
) -> NDArray[np.uint8]:
    """A black RGB frame with a soft red and a soft green dot at (x, y)."""
    frame = np.zeros((height, width, 3))
    for channel, (x, y) in enumerate((red, green)):
        across, down = (np.exp(-((np.arange(n) - v) ** 2) / (2 * sigma**2)) for n, v in ((width, x), (height, y)))
        frame[:, :, channel] = 255 * np.outer(down, across)
    return np.rint(frame).astype(np.uint8)
