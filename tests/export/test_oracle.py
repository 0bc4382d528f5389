"""Compiling proves nothing: a network that Qualcomm's tool compiles without a word and computes wrongly is caught."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_networks import POINTS, SIZE, small_network
from torch import Tensor, nn

from npuface_export.calibration import CalibrationFaces
from npuface_export.compile import APART, oracle_refusal
from npuface_export.export import export_bundle
from npuface_export.photograph import face_crops
from npuface_export.quantize import quantize_bundle
from npuface_export.target import target_by_name
from npuface_export.toolchains import toolchain_by_name
from npuface_runtime.manifest import Manifest


class _Halvings(nn.Module):
    """Heatmaps of the picture's brightness, by depthwise convolutions 2 x 2 of stride 2, or dense ones."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.halvings = nn.Sequential(*[nn.Conv2d(3, 3, 2, 2, groups=groups) for _ in range(2)])
        self.mix = nn.Conv2d(3, POINTS, 1)
        for conv in (*self.halvings, self.mix):
            nn.init.constant_(conv.weight, 1 / conv.weight[0].numel())
            nn.init.constant_(conv.bias, 0.1)

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.mix(self.halvings(pictures))
        return maps


@pytest.fixture(scope="module")
def faces() -> CalibrationFaces:
    """Few: the emulator takes seconds for each."""
    crops = face_crops((SIZE, SIZE), 1.3)
    return CalibrationFaces(crops, crops, pictures=1, without_face=0, unreadable=0, held_out=False)


def emulated(groups: int, faces: CalibrationFaces, folder: Path) -> Manifest:
    if toolchain_by_name("qualcomm").version() is None:
        pytest.skip("the toolchain qualcomm is not installed")
    target = target_by_name("qualcomm-htp-v75")
    export_bundle(small_network(_Halvings(groups)), target, folder, form="relative-threshold")
    return quantize_bundle(folder, faces)


def test_an_npu_that_computes_something_else_is_caught(faces: CalibrationFaces, tmp_path: Path) -> None:
    manifest = emulated(3, faces, tmp_path / "wrong")
    assert manifest.placement is not None
    assert manifest.placement["cpu"] == 0, "it was compiled without a word"
    refusal = oracle_refusal(manifest)
    assert refusal is not None
    assert "computes something else than the model" in refusal
    assert "HTP v75 emulator" in refusal


def test_one_that_computes_the_model_is_not(faces: CalibrationFaces, tmp_path: Path) -> None:
    manifest = emulated(1, faces, tmp_path / "right")
    assert manifest.coordinate_shift is not None
    assert manifest.coordinate_shift["from_stand_in_px"] < APART / 2
    assert oracle_refusal(manifest) is None
