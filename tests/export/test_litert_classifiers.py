"""Classifiers by linear layers, as RTMPose has them, on LiteRT and on an Ethos-U: whole on the NPU, the same points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_networks import POINTS, small_network
from torch import Tensor, nn

from npuface_export.calibration import CalibrationFaces
from npuface_export.converters import converter_by_name
from npuface_export.export import export_bundle
from npuface_export.photograph import face_crops
from npuface_export.quantize import quantize_bundle
from npuface_export.target import target_by_name
from npuface_runtime.errors import UserError

CELLS, SIZE = 16, 64
CROPS = face_crops((SIZE, SIZE), 1.3)
FACES = CalibrationFaces(CROPS, CROPS, len(CROPS), 0, 0, False)


class Classifiers(nn.Module):
    """Pictures [1, 3, 64, 64] -> logits [1, K, 1, columns + rows]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.draw = nn.Conv2d(3, POINTS, 4, 4)
        self.columns, self.rows = (nn.Linear(CELLS * CELLS, CELLS) for _ in range(2))

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.draw(pictures).flatten(2)
        return torch.cat([self.columns(features), self.rows(features)], dim=2).unsqueeze(2)


@pytest.mark.parametrize("form", ["simcc", "simcc-host"])
def test_classifiers_run_whole_on_an_ethos_u(form: str, tmp_path: Path) -> None:
    """The converter leaves what linear layers give as (1, K, cells); a convolution by one brings it into planes."""
    network = replace(small_network(), module=Classifiers().eval(), kind="simcc")
    manifest = export_bundle(network, target_by_name("ethos-u55-128"), tmp_path / "bundle", form=form, budget=100.0)
    files = {"model": manifest.file(tmp_path / "bundle", "model")}
    assert converter_by_name("litert").describe(files, (POINTS, 1, 2 * CELLS)).heatmap == "heatmaps"
    quantized = quantize_bundle(tmp_path / "bundle", FACES)
    assert quantized.placement is not None
    assert quantized.placement["cpu"] == 0
    assert quantized.coordinate_shift is not None
    assert quantized.coordinate_shift["mean_px"] < 1.0


class Linear4D(Classifiers):
    """What LiteRT's converter does not take: a linear layer over four dimensions."""

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.draw(pictures).reshape(1, POINTS, 1, CELLS * CELLS)
        return torch.cat([self.columns(features), self.rows(features)], dim=3)


def test_what_the_converter_fails_on_is_told_in_its_words(tmp_path: Path) -> None:
    network = replace(small_network(), module=Linear4D().eval(), kind="simcc")
    with pytest.raises(UserError, match="cannot convert the network to TFLite: the converter fails"):
        export_bundle(network, target_by_name("litert-cpu"), tmp_path / "bundle", form="simcc", budget=100.0)
    assert not (tmp_path / "bundle").exists()
