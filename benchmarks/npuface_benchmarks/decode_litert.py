"""A decode form alone in LiteRT's INT8: the kernels that run it, without a network in front."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from npuface_export.converters import Recipe
from npuface_export.converters.litert import CONVERTER
from npuface_export.decode import DecodeForm, HeatmapSpec
from npuface_export.decode.finished import finished_cells
from npuface_export.decode.sums import fixed_depthwise
from npuface_runtime.engines import open_session
from npuface_runtime.finish import dequantize
from npuface_runtime.manifest import TensorInfo

_CHANNELS = 3
"""Of a picture: what the converter takes a network's input to have."""


class _Unfolded(nn.Module):
    """A picture [1, 3, h, W] that holds the values of the maps in their order -> the maps.

    A convolution stands in front, as in a network; its weights are 1.
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.drawn = fixed_depthwise(_CHANNELS, torch.ones(1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        """[1, 3, h, W] -> [1, C, H, W]."""
        maps: Tensor = self.drawn(picture).reshape(self.shape)
        return maps


def litert_points(
    form: DecodeForm, spec: HeatmapSpec, calibration: Tensor, maps: Tensor
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """What a form makes of maps in INT8, its moments in 16 bits where it has any, as LiteRT computes it.

    Args:
        form: any.
        spec: what it is built for.
        calibration: what enters the decode [N, C, H, W]; its ranges become the model's.
        maps: what it is run on, of the same shape.

    Returns:
        Points [N, K, 2] in cells and confidence [N, K], as the host half gives them.
    """
    missing = -spec.points % _CHANNELS if spec.kind != "heatmap-offset" else 0
    whole = replace(spec, points=spec.points + missing)
    outputs = _outputs(form, whole, *(torch.cat([one, one[:, :missing]], dim=1) for one in (calibration, maps)))
    cells, confidence = finished_cells(form, whole, outputs)
    return cells[:, : spec.points], confidence[:, : spec.points]


def _outputs(form: DecodeForm, spec: HeatmapSpec, calibration: Tensor, maps: Tensor) -> NDArray[np.float32]:
    """[N, ...] as real numbers, channels first; the values of a map of all landmarks fill a picture."""
    decode = form.build(spec).eval()
    width = spec.input_shape[-1]
    rows = math.prod(spec.input_shape) // (_CHANNELS * width)
    with tempfile.TemporaryDirectory() as name:
        exact, folder = Path(name) / "float", Path(name) / "int8"
        exact.mkdir()
        folder.mkdir()
        source = CONVERTER.convert(_Unfolded(spec.input_shape), decode, (rows, width), exact, as_planes=False)
        quantizer = CONVERTER.quantizer(source, [_folded(one, rows, width) for one in calibration])
        model = quantizer.write(Recipe(decode="int16" if form.has_moments else "int8"), folder)
        with open_session(CONVERTER.engine, model.files, 1) as session:
            outputs = [session.run(_stored(_folded(one, rows, width), model.input))[0] for one in maps]
    return np.stack([dequantize(output, model.outputs[0])[0].transpose(2, 0, 1) for output in outputs])


def _folded(maps: Tensor, rows: int, width: int) -> NDArray[np.float32]:
    """Maps [C, H, W] as a picture [1, 3, h, W]."""
    return np.asarray(maps.reshape(1, _CHANNELS, rows, width).numpy())


def _stored(picture: NDArray[np.float32], info: TensorInfo) -> NDArray[np.generic]:
    """A picture NCHW as the model's input stores it."""
    values = picture.transpose(0, 2, 3, 1)
    if info.scale is None or info.zero_point is None:
        return np.ascontiguousarray(values)
    bounds = np.iinfo(info.dtype)
    stored = np.clip(np.rint(values / info.scale) + info.zero_point, bounds.min, bounds.max)
    return np.asarray(stored, info.dtype)
