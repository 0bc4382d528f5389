"""Small LiteRT models that several test files share; each is converted once a run."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from npuface_export.converters import ModelFiles, Recipe, converter_by_name
from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_runtime.engines import open_session
from npuface_runtime.finish import finish_decode
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess
from npuface_toolkit.student import HeatmapNetwork, Student, StudentConfig

LITERT = converter_by_name("litert")
CELLS, STRIDE = 32, 4
SIZE = CELLS * STRIDE
SMALL = StudentConfig(input_size=64, points=5, boundaries=2, width=0.25, depth=1)
_FOLDER = tempfile.TemporaryDirectory(prefix="npuface-tests-")


class Drawn(nn.Module):
    """A network whose three heatmaps are the picture's three channels, averaged over each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.halvings = nn.Sequential(*[nn.Conv2d(3, 3, 2, 2, groups=3, bias=False) for _ in range(2)])
        for halving in self.halvings:
            nn.init.constant_(halving.weight, 1 / 4)

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.halvings(pictures)
        return maps


DRAWN_SPEC = HeatmapSpec(3, CELLS, CELLS, beta=10.0)


def picture_of(points: NDArray[np.float64], peak: float = 1.0) -> NDArray[np.float32]:
    """A picture NCHW [1, 3, S, S] for `Drawn`: Gaussians of sigma 1.5 cells at points [3, 2] (x, y) in cells."""
    cells = (np.arange(SIZE) + 0.5) / STRIDE - 0.5
    x, y = points[:, 0, None, None], points[:, 1, None, None]
    squared = (cells[None, None, :] - x) ** 2 + (cells[None, :, None] - y) ** 2
    return (peak * np.exp(-squared / (2 * 1.5**2)))[None].astype(np.float32)


def central_pictures(count: int = 12) -> list[NDArray[np.float32]]:
    """Pictures whose landmarks all lie within 4 cells of the centre."""
    rng = np.random.default_rng(1)
    return [picture_of(CELLS / 2 + rng.uniform(-4, 4, (3, 2)), rng.uniform(0.6, 1.0)) for _ in range(count)]


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(dir=_FOLDER.name))


@cache
def small_student() -> HeatmapNetwork:
    torch.manual_seed(0)
    return HeatmapNetwork(Student(SMALL)).eval()


@cache
def student_model(form: str) -> ModelFiles:
    """A small student with random weights and a decode."""
    spec = HeatmapSpec(SMALL.points, SMALL.heatmap_size, SMALL.heatmap_size)
    return LITERT.convert(
        small_student(), form_by_name(form).build(spec), (SMALL.input_size, SMALL.input_size), new_folder()
    )


@cache
def drawn_model(form: str) -> ModelFiles:
    return LITERT.convert(Drawn().eval(), form_by_name(form).build(DRAWN_SPEC), (SIZE, SIZE), new_folder())


@cache
def quantized_model(form: str, decode: str) -> ModelFiles:
    """`drawn_model` in INT8, its ranges taken from landmarks near the centre only."""
    return LITERT.quantizer(drawn_model(form), central_pictures()).write(Recipe(decode=decode), new_folder())


def outputs_of(model: ModelFiles, pictures: Sequence[NDArray[np.float32]]) -> list[NDArray[np.generic]]:
    """The model's output as stored, for pictures NCHW float32."""
    info = model.input
    results = []
    with open_session("litert", model.files) as session:
        for picture in pictures:
            entered = np.ascontiguousarray(picture.transpose(0, 2, 3, 1))
            if info.scale is not None and info.zero_point is not None:
                entered = np.clip(np.rint(entered / info.scale) + info.zero_point, -128, 127).astype(np.int8)
            results.append(session.run(entered)[0])
    return results


def cells_of(
    model: ModelFiles, form: str, spec: HeatmapSpec, stride: int, pictures: Sequence[NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Points [N, K, 2] in cells that a model and the runtime's host half make of pictures."""
    chosen = form_by_name(form)
    manifest = Manifest(
        name="test",
        target="litert-cpu",
        engine="litert",
        precision="int8",
        files={},
        input=model.input,
        outputs=model.outputs,
        preprocess=Preprocess((0.0,) * 3, (1.0,) * 3, 1.0),
        landmarks=Landmarks("test", spec.points),
        heatmap=HeatmapInfo(spec.height, spec.width, (stride, stride), ((stride - 1) / 2,) * 2, model.heatmap),
        decode=Decode(chosen.name, chosen.finish, chosen.finish_params(spec), math.prod(model.outputs[0].shape)),
    )
    points = [finish_decode(manifest, [output])[0] for output in outputs_of(model, pictures)]
    return manifest.heatmap.to_cells(np.stack(points)).astype(np.float64)
