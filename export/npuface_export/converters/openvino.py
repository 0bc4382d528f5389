"""openvino: torch -> ONNX -> OpenVINO IR, and INT8 by NNCF's post-training quantization."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from torch import nn

from npuface_export.converters.converter import ModelFiles, Quantizer, check_heatmaps, check_pictures
from npuface_export.converters.onnx_graph import HEATMAPS, save_onnx
from npuface_export.converters.onnxruntime import torch_to_onnx
from npuface_export.converters.openvino_graph import dependent
from npuface_export.converters.recipe import Recipe
from npuface_runtime.errors import UserError, reason_of
from npuface_runtime.geometry import Shape
from npuface_runtime.manifest import TensorInfo


class OpenVino:
    """Converter to OpenVINO IR for its CPU plugin (see converter.Converter).

    INT8 models keep a float32 input and output. Weights are int8, symmetric, one scale a channel;
    activations are symmetric too (NNCF's "performance" preset: the faster one, and the more accurate one here).
    """

    engine = "openvino"
    safe_recipe = Recipe(decode="float32")
    wide_moments_only = False
    tools = ("onnx", "onnxsim", "openvino", "nncf")

    def convert(
        self, network: nn.Module, decode: nn.Module, shape: Shape, folder: Path, channels: int = 3
    ) -> ModelFiles:
        """Write the float model `model.xml` and `model.bin` (see converter.Converter.convert)."""
        path = folder / "through.onnx"
        save_onnx(torch_to_onnx(network, decode, shape, channels), path)
        # convert_model would fold what the decode multiplies by into the network, and the heatmaps would be gone
        files = _written(openvino.Core().read_model(path), folder / "model.xml")
        path.unlink()
        return files

    def describe(self, files: Mapping[str, Path], heatmap: tuple[int, int, int]) -> ModelFiles:
        """Read a model back (see converter.Converter.describe)."""
        model = _read(files)
        check_heatmaps(files["model"], tuple(_heatmap_port(model, files["model"]).get_shape()), heatmap)
        return _files(model, files)

    def quantizer(self, source: ModelFiles, pictures: Sequence[NDArray[np.float32]]) -> Quantizer:
        """Calibrate (see converter.Converter.quantizer)."""
        from npuface_export.converters.openvino_quantize import OpenVinoQuantizer  # its tools take seconds to import

        check_pictures(pictures)
        model = _read(source.files)
        heatmaps = _heatmap_port(model, source.files["model"]).get_node().get_friendly_name()
        return OpenVinoQuantizer(model, heatmaps, pictures, _written)

    def cut(self, source: ModelFiles, folder: Path) -> ModelFiles:
        """Write the same network ending at its heatmaps, as `heatmaps.xml` and `heatmaps.bin`."""
        model = _read(source.files)
        port = _heatmap_port(model, source.files["model"])
        return _written(openvino.Model([port], model.get_parameters(), "network"), folder / "heatmaps.xml")


def _read(files: Mapping[str, Path]) -> Any:
    try:
        return openvino.Core().read_model(str(files["model"]), str(files["weights"]))
    except RuntimeError as error:
        raise UserError(
            f"cannot read {files['model'].name}", f"it is no OpenVINO model ({reason_of(error)})", "export it again"
        ) from None


def _written(model: Any, path: Path) -> ModelFiles:
    try:
        openvino.save_model(model, str(path), compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(reason_of(error)) from error
    files = {"model": path, "weights": path.with_suffix(".bin")}
    return _files(_read(files), files)


def _heatmap_port(model: Any, path: Path) -> Any:
    """The output port that carries the heatmaps."""
    for node in model.get_ordered_ops():
        for port in node.outputs():
            if HEATMAPS in port.get_names():
                return port
    raise UserError(f"cannot find the heatmaps in {path.name}", f"it has no tensor {HEATMAPS!r}", "export it again")


def _tensor(port: Any, name: str) -> TensorInfo:
    dtype = np.dtype(port.get_element_type().to_dtype()).name
    return TensorInfo(name, tuple(port.get_shape()), dtype, "NCHW")


def _files(model: Any, files: Mapping[str, Path]) -> ModelFiles:
    inputs = {node.get_friendly_name() for node in model.get_parameters()}
    counts = Counter(node.get_type_name() for node in dependent(model, inputs))
    picture = _tensor(model.inputs[0], model.inputs[0].get_any_name())
    outputs = tuple(_tensor(port, port.get_any_name()) for port in model.outputs)
    return ModelFiles(dict(files), picture, outputs, HEATMAPS, dict(counts))


CONVERTER = OpenVino()
