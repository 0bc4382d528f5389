"""`npuface export THEIRS.onnx`: the commands that docs/your-model.md shows, and what the options refuse."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from npuface_export.decode import form_by_name
from npuface_export.foreign.cell_grid import GRIDS
from npuface_export.foreign.heads import PATTERNS
from npuface_export.photograph import photograph
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest
from npuface_toolkit.cli import main
from npuface_toolkit.foreign_options import read_options
from npuface_toolkit.variations import write_variations

PAGE = (Path(__file__).parents[2] / "docs/your-model.md").read_text()
SIDE = 64


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with theirs.onnx, which draws three soft spots as `maps` [1, 3, 16, 16], and with pictures."""
    folder = tmp_path_factory.mktemp("workplace")
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 13]>
        net (float[1, 3, {SIDE}, {SIDE}] picture) => (float[1, 3, 16, 16] maps) {{
            small = Conv <strides = [4, 4]> (picture, mix, level)
            bright = Relu (small)
            maps = Conv <group = 3, pads = [2, 2, 2, 2]> (bright, blur)
        }}"""
    )
    ramp = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / 3)
    blur = (ramp[:, None] * ramp / ramp.sum() ** 2).expand(3, 1, 5, 5).numpy()
    mix = (
        np.random.default_rng(0).uniform(0, 1, (3, 3, 1, 1)).astype(np.float32) * np.ones((3, 3, 4, 4), np.float32) / 16
    )
    arrays = {"mix": mix, "level": np.full(3, 0.2, np.float32), "blur": np.ascontiguousarray(blur)}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    onnx.save(model, folder / "theirs.onnx")
    (folder / "pictures").mkdir()
    write_variations(photograph(), folder / "pictures", 6)
    return folder


def commands() -> list[list[str]]:
    """Those of the page that run in an engine of this machine, in words."""
    shown = [shlex.split(line) for line in re.findall(r"^    npuface (export .*)$", PAGE, re.MULTILINE)]
    return [words for words in shown if "onnxruntime-cpu" in words]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_pages_commands_run(
    workplace: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json"])
    result = json.loads(capfd.readouterr().out)
    assert ended.value.code == 0, result
    manifest = Manifest.load(workplace / "bundle")
    assert result["origin"] == json.loads(json.dumps(manifest.origin))
    assert result["origin"]["file"] == "theirs.onnx"
    assert ("fit" in result["origin"]) == ("auto" in words)
    if "auto" in words:
        fit = result["origin"]["fit"]
        assert {"beta", "error", "bias", "beta_before", "error_before", "bias_before", "threshold"} <= set(fit)
        assert set(fit) <= set(re.findall(r"`(\w+)`", PAGE)) | {"faces"}


def printed(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints, without its frame and line ends."""
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code == 0
    return " ".join(capfd.readouterr().out.replace("│", " ").split())


def test_heatmaps_alone_are_said_to_have_no_decode_and_nothing_is_said_to_be_measured_that_was_not(
    workplace: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["--target", "onnxruntime-cpu", "--decode", "relative-threshold", "--out", str(tmp_path / "bundle")]
    shown = printed(capfd, "export", str(workplace / "theirs.onnx"), *given)
    assert "theirs.onnx, head plain, own decode: none" in shown
    assert "not measured in float: other forms are compared with this one, relative-threshold with the" in shown
    for untrue in ("measured against", "argmax", "0.000 heatmap px", "trained"):
        assert untrue not in shown
    moved = Manifest.load(tmp_path / "bundle").decode.moved
    assert moved is not None
    assert (moved["float_px"], moved["reference"]) == (None, "relative-threshold with the threshold 0.3")


def test_with_pictures_both_thresholds_are_compared_with_the_argmax_and_the_one_before_is_kept(
    workplace: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["--target", "onnxruntime-cpu", "--calibration", str(workplace / "pictures")]
    shown = printed(capfd, "export", str(workplace / "theirs.onnx"), *given, "--out", str(tmp_path / "bundle"))
    origin = Manifest.load(tmp_path / "bundle").origin
    assert origin is not None
    fit = origin["fit"]
    assert fit["threshold_error"] < fit["threshold_error_before"]
    assert fit["threshold_in_use"] == fit["threshold_before"] == 0.3
    assert f"{fit['threshold_error']:.3f} heatmap px from the sub-pixel argmax" in shown
    assert f"(before 0.30: {fit['threshold_error_before']:.3f})" in shown
    assert "0.30, as before: the sub-pixel argmax is not the model's own decode" in shown


def test_help_says_what_is_found_on_pictures(capfd: pytest.CaptureFixture[str]) -> None:
    assert "Pictures with faces, to find beta and threshold on" in printed(capfd, "export", "--help")


def test_every_option_head_and_grid_is_on_the_page() -> None:
    named = set(re.findall(r"`([\w-]+)`", PAGE))
    assert {pattern.name for pattern in PATTERNS} | set(GRIDS) <= named
    assert len(commands()) >= 3


@pytest.mark.parametrize(
    ("model", "given", "why"),
    [
        ("student-68", {"beta": "auto"}, "a checkpoint says itself what --beta is for"),
        ("x.onnx", {"beta": "auto"}, "there are no pictures to choose it on"),
        ("x.onnx", {"beta": "many"}, "it is not a number, or auto"),
        ("x.onnx", {"mean": "1,2"}, "it is not 3 numbers with commas between them"),
        ("x.onnx", {"offsets": "only"}, "it does not name two tensors"),
    ],
)
def test_options_that_cannot_be_read(model: str, given: dict[str, str], why: str) -> None:
    with pytest.raises(UserError) as caught:
        read_options(model, given)
    assert why in str(caught.value)


def test_options_from_their_text() -> None:
    options = read_options(
        "x.ONNX", {"beta": "30", "mean": "127.5", "std": "1,2,3", "offsets": "a[0:2],b", "grid": None}
    )
    assert options is not None
    assert (options.beta, options.mean, options.std) == (30.0, (127.5,) * 3, (1.0, 2.0, 3.0))
    assert options.offsets == ("a[0:2]", "b")
    assert read_options("student-68", {"beta": None}) is None


def test_the_forms_that_the_fit_speaks_of_are_there() -> None:
    assert {form_by_name(name).kinds[0] for name in ("relative-threshold", "heatmap-offset")} == {
        "heatmaps",
        "heatmap-offset",
    }
