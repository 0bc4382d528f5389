"""Forms that leave nothing for 16 bits: what is quantized by default where those are for the moments alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_networks import POINTS, small_network

from npuface_export.calibration import CalibrationFaces
from npuface_export.compile import compile_bundle
from npuface_export.converters import Recipe, target_recipe
from npuface_export.decode import FORMS, form_by_name
from npuface_export.export import export_bundle
from npuface_export.photograph import face_crops
from npuface_export.quantize import quantize_bundle
from npuface_export.target import target_by_name
from npuface_runtime.errors import UserError

WITHOUT = {"host", "heatmap-offset-host", "marginals", "seed", "simcc-host"}
CROPS = face_crops((64, 64), 1.3)
FACES = CalibrationFaces(CROPS, CROPS, len(CROPS), 0, 0, False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float bundle whose form has no moments."""
    folder = tmp_path_factory.mktemp("marginals") / "bundle"
    export_bundle(small_network(), target_by_name("ethos-u55-128"), folder, form="marginals")
    return folder


def test_a_form_says_whether_it_has_moments() -> None:
    assert {name for name, form in FORMS.items() if not form.has_moments} == WITHOUT


@pytest.mark.parametrize(
    ("target", "form", "decode"),
    [
        ("litert-cpu", "marginals", "int8"),
        ("litert-cpu", "relative-threshold", "int16"),
        ("qualcomm-htp-v73", "marginals", "int16"),  # all of the decode is in 16 bits there
        ("onnxruntime-cpu", "marginals", "float32"),
        ("rockchip-rv1103", "relative-threshold", "int8"),
    ],
)
def test_the_recipe_of_a_target_suits_the_form(target: str, form: str, decode: str) -> None:
    assert target_recipe(target_by_name(target), form_by_name(form)).decode == decode


def test_what_the_export_made_is_quantized_and_compiled_without_a_recipe(bundle: Path, tmp_path: Path) -> None:
    """And it compiles for another chip of the family, whose recipe is the same."""
    manifest = quantize_bundle(bundle, FACES, tmp_path / "int8")
    assert manifest.recipe is not None
    assert manifest.recipe["decode"] == "int8"
    assert manifest.outputs[0].dtype == "int8"
    assert manifest.outputs[0].shape == (1, 1, 2 * 16, POINTS)
    assert manifest.coordinate_shift is not None
    assert manifest.coordinate_shift["mean_px"] < 0.5
    assert manifest.placement is not None
    assert manifest.placement["cpu"] == 0
    other = compile_bundle(tmp_path / "int8", tmp_path / "other", target=target_by_name("ethos-u55-256"))
    assert other.target == "ethos-u55-256"


def test_16_bits_that_were_asked_for_are_refused_with_the_option_that_helps(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no moments that 16 bits could keep") as caught:
        quantize_bundle(bundle, FACES, tmp_path / "int8", recipe=Recipe(decode="int16"))
    assert "--decode-type int8" in caught.value.fix
