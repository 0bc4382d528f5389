"""`npuface quantize`: options that do not fit together, and budgets in NME."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from npuface_runtime.errors import UserError
from npuface_runtime.geometry import box_of_points, crop_of_box
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess, TensorInfo
from npuface_toolkit.cli import main
from npuface_toolkit.faces import Face
from npuface_toolkit.nme_budget import nme_budget
from npuface_toolkit.schemes import IBUG_68, WFLW_98


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--max-shift", "0.05", "--max-nme-increase", "1%"), "--max-shift and --max-nme-increase are both given"),
        (("--max-nme-increase", "1%"), "--max-nme-increase and --data go together"),
        (("--data", "points:a.csv"), "--max-nme-increase and --data go together"),
        (("--max-shift", "-1"), "--max-shift is no positive number"),
        (("--max-nme-increase", "one", "--data", "points:a.csv"), "--max-nme-increase is no positive number"),
        (("--recipe", "r.toml", "--decode-type", "int8"), "--recipe and --decode-type both name the decode's type"),
        (("--recipe", "none.toml"), "No such file"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: tuple[str, ...], why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["quantize", "bundle", "--calibration", "pictures", *options, "--json"])
    assert caught.value.code == 2
    assert json.loads(capfd.readouterr().out)["error"]["why"].startswith(why)


def _manifest() -> Manifest:
    """Of a float model whose 64 x 64 heatmap cells are 4 input pixels each."""
    return Manifest(
        name="test",
        target="litert-cpu",
        engine="litert",
        precision="float32",
        files={},
        input=TensorInfo("picture", (1, 256, 256, 3), "float32", "NHWC"),
        outputs=(TensorInfo("decoded", (1, 1, 1, 340), "float32", "NHWC"),),
        preprocess=Preprocess((0.0,) * 3, (1.0,) * 3, 1.3),
        landmarks=Landmarks("ibug-68", 68),
        heatmap=HeatmapInfo(64, 64, (4, 4), (1.5, 1.5), "heatmaps"),
        decode=Decode("relative-threshold", "moments", {}, 680),
    )


@pytest.fixture
def faces(tmp_path: Path) -> list[Face]:
    """Three grey pictures with 68 points each."""
    made = []
    for i in range(3):
        path = tmp_path / "test" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(path), np.full((200, 200, 3), 128, np.uint8))
        points = np.random.default_rng(i).uniform(50, 150, (68, 2)).astype(np.float32)
        made.append(Face(path, points, str(i)))
    return made


def test_an_nme_budget_compares_with_the_float_network(faces: list[Face], tmp_path: Path) -> None:
    """Points that are twice as far off as those of the float network have twice its NME: an increase of 100 %."""
    budget = nme_budget(0.01, faces, IBUG_68, tmp_path / "calibration", _manifest())
    assert (len(budget.pictures), budget.pictures[0].shape) == (3, (256, 256, 3))
    crops = [crop_of_box(box_of_points(face.points), 1.3) for face in faces]
    truth = [(crop.to_input(face.points, (256, 256)) - 1.5) / 4 for crop, face in zip(crops, faces, strict=True)]
    exact = np.stack(truth).astype(np.float32)
    right, down = np.float32([1, 0]), np.float32([0, 1])
    assert budget.figure(exact + right / 2, exact + right) == pytest.approx(1, abs=1e-3)
    assert budget.figure(exact + right / 2, exact + down / 2) == pytest.approx(0, abs=1e-3)


def test_faces_that_calibrate_are_not_judged_on(faces: list[Face], tmp_path: Path) -> None:
    folder = tmp_path / "calibration"
    folder.mkdir()
    (folder / "link.png").symlink_to(faces[0].picture)
    with pytest.raises(UserError, match="1 of their pictures are in the calibration folder"):
        nme_budget(0.01, faces, IBUG_68, folder, _manifest())


def test_faces_of_another_scheme_are_refused(faces: list[Face], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="they have wflw-98 landmarks, the model ibug-68"):
        nme_budget(0.01, faces, WFLW_98, tmp_path, _manifest())
