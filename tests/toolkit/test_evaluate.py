"""Evaluation: the figures against plain numpy, the points that are shared, the subsets, and the report's files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from peer_networks import constant_network
from small_bundle import write_small_bundle

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import StudentInfo, save_student
from npuface_toolkit.cli import main
from npuface_toolkit.evaluate import Prediction, measure, predict, shared_points
from npuface_toolkit.evaluation_report import write_evaluation
from npuface_toolkit.faces import Face
from npuface_toolkit.schemes import IBUG_68
from npuface_toolkit.student import Student, StudentConfig

ALL = tuple(range(68))
PEER = """
name = "everything in the middle"
model = "middle.onnx"
decoder = "coordinates"
scheme = "ibug-68"
theirs = "0-50"
ours = "17-67"
"""


def _off(faces: list[Face], pixels: float) -> Prediction:
    return Prediction("off", np.stack([face.points for face in faces]) + np.float32([pixels, 0]), ALL)


def test_the_figures_are_their_definition(faces: list[Face]) -> None:
    found = measure(_off(faces, 5), faces, IBUG_68, ALL)
    corners = [np.linalg.norm(face.points[36] - face.points[45]) for face in faces]
    expected = np.array([5 / corner for corner in corners])
    np.testing.assert_allclose(found.errors, expected, rtol=1e-5)
    assert found.overall.nme == pytest.approx(expected.mean())
    assert found.overall.auc == pytest.approx(np.maximum(0, 1 - expected / 0.1).mean())
    assert found.overall.failure_rate == (expected > 0.1).mean()
    assert found.subsets == {}


def test_subsets_are_the_faces_with_an_attribute(faces: list[Face]) -> None:
    marked = [
        replace(faces[0], attributes=frozenset({"pose", "blur"})),
        replace(faces[1], attributes=frozenset({"blur"})),
        *faces[2:],
    ]
    found = measure(_off(marked, 5), marked, IBUG_68, ALL)
    assert {name: accuracy.faces for name, accuracy in found.subsets.items()} == {
        "pose": 1,
        "blur": 2,
        "none of them": 10,
    }
    assert found.subsets["pose"].nme == found.errors[0]
    assert found.subsets["blur"].nme == pytest.approx(found.errors[:2].mean())


def test_points_are_shared_by_all_and_are_not_left_out() -> None:
    one, other = (
        Prediction(name, np.zeros((1, 68, 2), np.float32), known) for name, known in (("a", ALL), ("b", (3, 20, 30)))
    )
    assert shared_points([one, other]) == (3, 20, 30)
    assert shared_points([one, other], IBUG_68.jaw) == (20, 30)
    with pytest.raises(UserError, match="no point that all of them give"):
        shared_points([other], (3, 20, 30))


def test_weights_that_are_not_finite_are_refused(faces: list[Face], tmp_path: Path) -> None:
    shape = StudentConfig(64, width=0.25, depth=2)
    weights = Student(shape).state_dict()
    weights["head.heatmaps.bias"] = torch.full_like(weights["head.heatmaps.bias"], float("nan"))
    save_student(tmp_path / "nan.safetensors", weights, StudentInfo(shape, "ibug-68"))
    with pytest.raises(UserError, match="not finite"):
        predict(str(tmp_path / "nan.safetensors"), faces[:2], IBUG_68)


@pytest.mark.parametrize(
    ("scheme", "fix"),
    [
        ("custom-68", "if its landmarks are those of ibug-68, export it again with --scheme ibug-68"),
        ("custom-66", "give data of its own scheme"),
    ],
)
def test_a_model_without_a_scheme_that_has_as_many_points_is_to_be_exported_with_it(
    faces: list[Face], tmp_path: Path, scheme: str, fix: str
) -> None:
    write_small_bundle(tmp_path / "bundle")
    path = tmp_path / "bundle/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["landmarks"]["scheme"] = scheme
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError) as caught:
        predict(str(tmp_path / "bundle"), faces[:1], IBUG_68)
    assert (caught.value.why, caught.value.fix) == (f"it has {scheme} landmarks, the data ibug-68", fix)


def test_the_report_shows_the_worst_face_first(faces: list[Face], tmp_path: Path) -> None:
    """The worst face alone is drawn with its points far off: yellow where no point belongs."""
    points = np.stack([face.points for face in faces])
    points[7] += 40
    found = measure(Prediction("net", points, ALL), faces, IBUG_68, ALL)
    write_evaluation([found], faces, IBUG_68, tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "curve.png", "report.html", "report.json", "worst-1.png"
    ]  # fmt: skip
    sheet = cv2.imread(str(tmp_path / "report" / "worst-1.png"))
    assert sheet is not None
    yellow = (np.abs(sheet.astype(int) - (0, 220, 255)).max(axis=2) < 60).reshape(2, 220, 6, 220).sum(axis=(1, 3))
    green = (np.abs(sheet.astype(int) - (0, 230, 0)).max(axis=2) < 60).reshape(2, 220, 6, 220).sum(axis=(1, 3))
    assert green[0, 0] > 100 > 20 > green[0, 1:].max()  # elsewhere what was found hides what is true
    assert yellow.min() > 50
    assert json.loads((tmp_path / "report" / "report.json").read_text())["nme"] == found.overall.nme
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert f"{found.overall.nme * 100:.2f}" in page


def test_a_peer_and_a_checkpoint_are_compared_on_what_both_give(
    source: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    constant_network(tmp_path / "middle.onnx", np.full(102, 0.5, np.float32))
    (tmp_path / "middle.toml").write_text(PEER)
    shape = StudentConfig(64, width=0.25, depth=2)
    torch.manual_seed(0)
    save_student(tmp_path / "net.safetensors", Student(shape).state_dict(), StudentInfo(shape, "ibug-68"))
    models = [str(tmp_path / "net.safetensors"), str(tmp_path / "middle.toml")]
    with pytest.raises(SystemExit) as done:
        main(["evaluate", *models, "--data", source, "--report", str(tmp_path / "report"), "--json"])
    assert done.value.code == 0
    said = json.loads(capfd.readouterr().out)
    assert said["points"] == 51
    assert [row["model"] for row in said["models"]] == [models[0], "everything in the middle"]
    assert all(row["faces"] == 12 and row["nme"] > 0.2 for row in said["models"])
    assert (tmp_path / "report" / "worst-2.png").is_file()
