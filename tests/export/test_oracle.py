"""Compiling proves nothing: a network that Qualcomm's tool compiles without a word and computes wrongly is caught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_networks import POINTS, small_network
from torch import Tensor, nn

from npuface_export.compile import APART, oracle_refusal
from npuface_export.export import export_bundle
from npuface_export.quantize import quantize_bundle
from npuface_export.target import target_by_name
from npuface_export.toolchains import toolchain_by_name
from npuface_runtime.manifest import Manifest
from npuface_toolkit.variations import write_variations


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
def pictures(astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_variations(astronaut, folder, 5)
    return folder


def emulated(groups: int, pictures: Path, folder: Path) -> Manifest:
    if toolchain_by_name("qualcomm").version() is None:
        pytest.skip("the toolchain qualcomm is not installed")
    target = target_by_name("qualcomm-htp-v75")
    export_bundle(small_network(_Halvings(groups)), target, folder, form="relative-threshold")
    return quantize_bundle(folder, pictures)


def test_an_npu_that_computes_something_else_is_caught(pictures: Path, tmp_path: Path) -> None:
    manifest = emulated(3, pictures, tmp_path / "wrong")
    assert manifest.placement is not None
    assert manifest.placement["cpu"] == 0, "it was compiled without a word"
    refusal = oracle_refusal(manifest)
    assert refusal is not None
    assert "computes something else than the model" in refusal
    assert "HTP v75 emulator" in refusal


def test_one_that_computes_the_model_is_not(pictures: Path, tmp_path: Path) -> None:
    manifest = emulated(1, pictures, tmp_path / "right")
    assert manifest.coordinate_shift is not None
    assert manifest.coordinate_shift["from_stand_in_px"] < APART / 2
    assert oracle_refusal(manifest) is None
