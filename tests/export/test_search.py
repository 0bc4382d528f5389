"""What a layer costs, and the search for the cheapest recipe: a sabotaged layer must be found and kept wide."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_networks import POINTS, BrightSpots, small_network
from test_calibration import write_faces
from torch import Tensor, nn

from npuface_export.calibrated import Calibrated, calibrated
from npuface_export.diagnose import layer_errors
from npuface_export.export import export_bundle
from npuface_export.quantize import quantize_bundle
from npuface_export.search import Budget, _fewest, shift_budget
from npuface_export.target import target_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest
from npuface_toolkit.cli import main


class _Chain(BrightSpots):
    """mix, carry, blur. `outlier` is a weight of carry on a channel that is always 0: it changes nothing in float,
    and takes all 8 bits of the weights beside it."""

    def __init__(self, outlier: float = 0.0) -> None:
        super().__init__()
        mix, self.mix = self.mix, nn.Conv2d(3, POINTS + 1, 4, 4)
        self.carry = nn.Conv2d(POINTS + 1, POINTS, 5, padding=2)
        with torch.no_grad():
            self.mix.weight.zero_()
            self.mix.weight[:POINTS] = mix.weight
            nn.init.constant_(self.mix.bias, 0.2)
            self.mix.bias[POINTS] = -1
            nn.init.constant_(self.carry.bias, 0.01)
            self.carry.weight.zero_()
            for point in range(POINTS):
                self.carry.weight[point, point] = self.blur.weight[point, 0]
            self.carry.weight[:, POINTS, 2, 2] = outlier

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.blur(torch.relu(self.carry(torch.relu(self.mix(pictures)))))
        return maps


class _Central(BrightSpots):
    """Peaks in the middle of the map alone."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: Tensor
        self.register_buffer("mask", torch.zeros(1, 1, 16, 16))
        self.mask[..., 6:10, 6:10] = 1

    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures) * self.mask


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder, astronaut, 12)
    return folder


def _bundle(folder: Path, module: nn.Module, engine: str = "onnxruntime") -> Path:
    export_bundle(small_network(module), target_by_name(f"{engine}-cpu"), folder, form="relative-threshold")
    return folder


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> Calibrated:
    return calibrated(_bundle(tmp_path_factory.mktemp("healthy") / "bundle", _Chain()), faces)


@pytest.fixture(scope="module")
def sabotaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _bundle(tmp_path_factory.mktemp("sabotaged") / "bundle", _Chain(outlier=200))


def test_the_diagnosis_points_at_the_layer_that_is_sabotaged(
    sabotaged: Path, healthy: Calibrated, faces: Path, tmp_path: Path
) -> None:
    bundles = {"onnxruntime": sabotaged, "openvino": _bundle(tmp_path / "openvino", _Chain(outlier=200), "openvino")}
    before = {error.layer: error.mean_px for error in layer_errors(healthy, healthy.faces.varied)}
    assert set(before) == {"mix", "carry", "blur"}
    for bundle in bundles.values():
        source = calibrated(bundle, healthy.faces)
        errors = layer_errors(source, source.faces.varied)
        assert errors[0].layer == "carry"
        assert errors[0].mean_px > 10 * before["carry"]
        assert errors[0].share > 0.8
        assert sum(error.share for error in errors) == pytest.approx(1)
        assert errors == sorted(errors, key=lambda error: -error.mean_px)


def test_the_search_keeps_the_sabotaged_layer_wide_and_no_other(
    sabotaged: Path, healthy: Calibrated, tmp_path: Path
) -> None:
    manifest = quantize_bundle(
        sabotaged, healthy.faces, tmp_path / "out", budget=lambda source: shift_budget(source.faces, 0.2)
    )
    assert manifest.recipe is not None
    assert list(manifest.recipe["wide"]) == ["carry"]
    search = manifest.recipe["search"]
    assert search["met"] is True
    assert [step["wide"] for step in search["tried"]] == [0, 1]
    assert search["tried"][0]["figure"] > 0.2 >= search["tried"][1]["figure"] == search["figure"]
    assert [kept["layer"] for kept in search["kept_wide"]] == ["carry"]
    assert manifest.coordinate_shift is not None
    assert manifest.coordinate_shift["mean_px"] == pytest.approx(search["figure"])
    assert Manifest.load(tmp_path / "out").recipe == {**manifest.recipe, "wide": ["carry"]}


def test_no_layer_is_widened_where_int8_is_within_the_budget(healthy: Calibrated, tmp_path: Path) -> None:
    manifest = quantize_bundle(
        _bundle(tmp_path / "bundle", _Chain()), healthy.faces, budget=lambda source: shift_budget(source.faces, 5)
    )
    assert manifest.recipe is not None
    assert len(manifest.recipe["search"]["tried"]) == 1
    assert not manifest.recipe["wide"]


def test_a_budget_that_nothing_meets_gives_the_best_and_exit_code_1(
    sabotaged: Path, faces: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    # the heatmaps of 8 bits that an int8 decode reads stay whatever is wide
    options = ["--max-shift", "1e-9", "--decode-type", "int8", "--out", str(out)]
    with pytest.raises(SystemExit) as caught:
        main(["quantize", str(sabotaged), "--calibration", str(faces), *options])
    assert caught.value.code == 1
    assert "no recipe is within the budget: the best has a mean shift" in " ".join(capfd.readouterr().err.split())
    recipe = Manifest.load(out).recipe
    assert recipe is not None
    assert recipe["search"]["met"] is False
    assert recipe["search"]["figure"] == min(step["figure"] for step in recipe["search"]["tried"])


def test_diagnose_prints_every_layer(sabotaged: Path, faces: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in sabotaged.iterdir())
    with pytest.raises(SystemExit) as caught:
        main(["quantize", str(sabotaged), "--calibration", str(faces), "--diagnose"])
    assert caught.value.code in (0, None)
    shown = capfd.readouterr().out
    assert shown.index("carry") < min(shown.index("mix"), shown.index("blur"))
    assert sorted(path.name for path in sabotaged.iterdir()) == before


def test_the_search_does_not_judge_on_what_calibrates(healthy: Calibrated) -> None:
    with pytest.raises(UserError, match="so few calibration faces that none can be set apart"):
        shift_budget(replace(healthy.faces, held_out=False), 0.05)


@given(st.integers(1, 200), st.data())
def test_the_search_finds_the_fewest_in_few_steps(most: int, data: st.DataObject) -> None:
    enough, asked = data.draw(st.integers(1, most + 1)), []

    def meets(count: int) -> bool:
        asked.append(count)
        return count >= enough

    _fewest(most, meets)
    assert max(asked) <= most
    assert len(asked) <= 2 * np.log2(most) + 2
    if enough <= most:
        assert min(count for count in asked if count >= enough) == enough
    else:
        assert asked[-1] == most


def test_calibration_that_misses_the_corners_warns(
    tmp_path: Path, healthy: Calibrated, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("npuface").propagate = True
    with caplog.at_level(logging.WARNING, "npuface.quantize"):
        manifest = quantize_bundle(_bundle(tmp_path / "bundle", _Central()), healthy.faces)
    assert manifest.recipe is not None
    assert manifest.recipe["calibration"]["corners"] == 0
    assert "reach 0 of the map's 4 corners" in caplog.text


def test_a_budget_may_be_any_figure(healthy: Calibrated, tmp_path: Path) -> None:
    budget = Budget("largest shift", 9.0, healthy.faces.plain, lambda a, b: float(np.abs(a - b).max()))
    manifest = quantize_bundle(_bundle(tmp_path / "bundle", _Chain()), healthy.faces, budget=lambda source: budget)
    assert manifest.recipe is not None
    assert manifest.recipe["search"]["budget"] == "largest shift"
