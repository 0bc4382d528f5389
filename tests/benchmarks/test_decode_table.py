"""The measured table of decode forms: its figures on maps whose answer is known, its record, its place on the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from npuface_benchmarks.decode_litert import litert_points
from npuface_benchmarks.decode_page import DecodeRecord, markdown, read_record, record_bytes, with_tables
from npuface_benchmarks.decode_scenes import SCENES, scene_maps
from npuface_benchmarks.decode_table import FormFigures, NetworkFigures, SceneFigures, separation
from npuface_export.decode import FORMS, HeatmapSpec
from npuface_export.decode.finished import finished_cells
from npuface_export.decode.simulate import int8_output
from npuface_runtime.errors import UserError

FIGURES = FormFigures(
    form="seed",
    summary="published",
    kind="heatmaps",
    bytes_out=196,
    int8="LiteRT",
    float_error=4e-4,
    scenes={scene.name: SceneFigures(0.14, 0.29, 0.26, 0.8, None) for scene in SCENES},
    networks={"student on faces": NetworkFigures(0.1, 0.2, 1.5, None, None, None, 20)},
    extra_ms={"ethos-u55-128": 17.9, "ethos-u55-32": None},
)


@pytest.mark.parametrize("kind", ["heatmaps", "heatmap-offset", "simcc"])
def test_scenes_show_their_peaks(kind: str) -> None:
    spec = HeatmapSpec(3, 32, 40, kind=kind)
    maps, truth = scene_maps(SCENES[0], spec, faces=2, seed=0)
    assert maps.shape == (2, *spec.input_shape[1:])
    form = next(form for form in FORMS.values() if form.kinds == (kind,) and form.name.endswith("host"))
    found, _ = finished_cells(form, spec, maps.numpy())
    assert np.linalg.norm(found - truth, axis=-1).max() < 0.5


def test_the_confidence_tells_scenes_apart() -> None:
    """Low, second and missing peaks lower it, in float and with eight bits."""
    form, spec = FORMS["relative-threshold"], HeatmapSpec(6, 64, 64)
    means = {}
    for scene in SCENES[:4]:
        maps, _ = scene_maps(scene, spec, faces=3, seed=1)
        with torch.no_grad():
            means[scene.name] = finished_cells(form, spec, form.build(spec)(maps).numpy())[1].mean()
        rounded = finished_cells(form, spec, int8_output(form, spec, maps).numpy())[1].mean()
        assert rounded == pytest.approx(means[scene.name], abs=0.05)
    assert means["full"] > 0.85
    assert means["second"] < means["full"] - 0.03
    assert means["low"] == pytest.approx(means["full"] / 2, abs=0.05)
    assert means["none"] < 0.02


def test_two_equal_peaks_halve_the_confidence() -> None:
    form, spec = FORMS["relative-threshold"], HeatmapSpec(6, 64, 64)
    one, _ = scene_maps(SCENES[0], spec, faces=2, seed=1)
    both = torch.maximum(one, one.flip(-1, -2).roll(7, -1))
    with torch.no_grad():
        alone, doubled = (finished_cells(form, spec, form.build(spec)(maps).numpy())[1] for maps in (one, both))
    assert doubled.mean() == pytest.approx(alone.mean() / 2, abs=0.1)


def test_litert_agrees_with_the_simulation() -> None:
    """The INT8 error that is simulated is that of the kernels; 4 landmarks do not fill a picture of 3 channels."""
    form, spec = FORMS["relative-threshold"], HeatmapSpec(4, 24, 20)
    maps, truth = scene_maps(SCENES[0], spec, faces=2, seed=5)
    cells, confidence = litert_points(form, spec, maps, maps)
    simulated, sure = finished_cells(form, spec, int8_output(form, spec, maps).numpy())
    assert cells.shape == truth.shape
    np.testing.assert_allclose(cells, simulated, rtol=0, atol=0.03)
    np.testing.assert_allclose(confidence, sure, rtol=0, atol=0.03)


def test_separation_is_the_area_under_the_curve() -> None:
    errors = np.arange(20.0).reshape(1, 20)
    assert separation(-errors, errors) == 1
    assert separation(errors, errors) == 0
    assert separation(np.ones_like(errors), errors) == 0.5
    assert separation(np.full_like(errors, np.nan), errors) is None


def test_the_record_comes_back(tmp_path: Path) -> None:
    record = DecodeRecord((FIGURES,), {"torch": "2"})
    (tmp_path / "decode.json").write_bytes(record_bytes(record))
    assert read_record(tmp_path / "decode.json") == record


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "decode.json").write_text('{"forms": 3, "tools": {}}')
    with pytest.raises(UserError, match=r"record\.forms"):
        read_record(tmp_path / "decode.json")
    with pytest.raises(UserError, match="npuface forms --measure"):
        read_record(tmp_path / "missing.json")


def test_the_tables_stand_between_their_markers() -> None:
    record = DecodeRecord((FIGURES,), {"torch": "2"})
    page = "before\n<!-- measured: npuface forms --measure -->\nold\n<!-- /measured -->\nafter\n"
    written = with_tables(page, record)
    assert "old" not in written
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "| seed | 196 | +17.90 | - |" in written
    assert with_tables(written, record) == written
    with pytest.raises(UserError, match="no <!-- measured"):
        with_tables("nothing", record)


def test_a_simulated_form_says_so() -> None:
    assert "INT8 of seed is simulated: no kernel." in markdown(
        DecodeRecord((FormFigures(**{**vars(FIGURES), "int8": "simulated: no kernel"}),), {})
    )
