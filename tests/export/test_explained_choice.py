"""`npuface explain` on what the choice of a decode form could not measure or could not take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_networks import BrightSpots, small_network
from torch import nn

from npuface_export.export import export_bundle
from npuface_export.target import target_by_name
from npuface_runtime.manifest import Manifest
from npuface_toolkit.cli import main

ROWS = 256


def explained(folder: Path, capfd: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["explain", str(folder), *options])
    assert caught.value.code == 0
    return capfd.readouterr().out


def test_nothing_is_said_of_8_bits_where_the_target_has_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manifest = export_bundle(small_network(), target_by_name("apple-ane"), tmp_path / "bundle")
    assert manifest.decode.moved is not None
    assert manifest.decode.moved["int8_px"] is None
    assert Manifest.load(tmp_path / "bundle") == manifest
    assert "by 8 bits" not in explained(tmp_path / "bundle", capfd)


def test_forms_that_cannot_decode_large_maps_stand_last_with_the_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tall = nn.Sequential(BrightSpots(), nn.UpsamplingNearest2d(scale_factor=(ROWS / 16, 1)))
    grid = {"heatmap_shape": (ROWS, 16), "cell_scale": (4.0, 0.25), "cell_offset": (1.5, -0.375)}
    network = replace(small_network(tall), decode="host", **grid)
    export_bundle(network, target_by_name("onnxruntime-cpu"), tmp_path / "bundle", budget=100)
    forms = json.loads(explained(tmp_path / "bundle", capfd, "--json"))["forms"]
    reason = "refused: an exact INT8 grid has 2 to 255 cells, not 256"
    assert {form["form"]: form["verdict"] for form in forms}["relative-threshold"] == reason
    costs = [form["cost"] for form in forms]
    fitting = costs[: costs.index(None)]
    assert fitting == sorted(fitting)
    assert set(costs[len(fitting) :]) == {None}
    assert "2 to 255 cells" in " ".join(explained(tmp_path / "bundle", capfd).split())
