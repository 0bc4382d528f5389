"""Labels by networks: on a real face, with real networks; what is filled in, what is not known, what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_runtime.detectors import open_detector
from npuface_runtime.errors import UserError
from npuface_toolkit.cli import main
from npuface_toolkit.evaluate import predict
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face
from npuface_toolkit.label_folder import label_folder, open_sources, picture_files
from npuface_toolkit.labelling import Checkpoint, Source, find_faces, label_face
from npuface_toolkit.schemes import IBUG_68

Picture = NDArray[np.uint8]
BOX = np.array([177, 88, 272, 178], np.float32)
"""Around the astronaut's landmarks."""


class Unsure:
    """A network whose points are moved by noise."""

    def __init__(self, noise: float) -> None:
        self._sure, self._noise = Checkpoint("student-68"), noise
        self.name, self.scheme = "unsure", IBUG_68
        self.ours: tuple[int, ...] = self._sure.ours
        self._rng = np.random.default_rng(0)

    def points(self, picture: Picture, box: NDArray[np.float32]) -> NDArray[np.float32]:
        found = self._sure.points(picture, box)
        return (found + self._rng.normal(0, self._noise, found.shape)).astype(np.float32)


def test_a_label_is_where_the_network_sees_the_points(astronaut: Picture, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "astronaut.png"), astronaut[..., ::-1])
    label = label_face(astronaut, BOX, [Source(Checkpoint("student-68"), 1.0)], IBUG_68)
    assert label is not None
    face = Face(tmp_path / "astronaut.png", label[:, :2], "astronaut")
    once = predict("student-68", [face], IBUG_68).points[0]
    eyes = np.linalg.norm(label[36, :2] - label[45, :2])
    assert np.linalg.norm(once - label[:, :2], axis=1).mean() < 0.03 * eyes
    assert 0.5 < label[0, 2] <= 1


def test_the_next_fills_in_what_one_lacks(astronaut: Picture) -> None:
    network, inner = Checkpoint("student-68"), tuple(range(36, 68))
    assert label_face(astronaut, BOX, [Source(network, 1.0, inner)], IBUG_68) is None
    label = label_face(astronaut, BOX, [Source(network, 1.0, inner), Source(network, 0.3)], IBUG_68)
    assert label is not None
    assert label[:36, 2].max() <= 0.3 < label[36:, 2].min()


def test_answers_that_lie_apart_are_trusted_less_or_not_at_all(astronaut: Picture) -> None:
    trusts = []
    for noise in (0.0, 2.0, 6.0):
        label = label_face(astronaut, BOX, [Source(Unsure(noise), 1.0)], IBUG_68)
        trusts.append(0.0 if label is None else float(label[0, 2]))
    assert trusts[0] > trusts[1] > trusts[2] == 0


def test_a_small_face_is_found_in_a_tile_and_too_small_a_one_is_left(astronaut: Picture) -> None:
    large = np.zeros((1400, 1800, 3), np.uint8)
    large[900:1156, 1200:1456] = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    expected = BOX / 2 + np.array([1200, 900, 1200, 900])
    detector = open_detector("cascade")
    boxes = find_faces(large, detector, 24)
    assert any(np.abs(box - expected).max() < 20 for box in boxes)
    assert not any(np.abs(box - expected).max() < 20 for box in find_faces(large, detector, 120))


def test_the_command_labels_a_folder(astronaut: Picture, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pictures" / "space").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "pictures" / "space" / "one.png"), astronaut[..., ::-1])
    out = tmp_path / "labels.csv"
    command = ["label", "--pictures", str(tmp_path / "pictures"), "--by", "student-68:0.5", "--detector", "cascade"]
    with pytest.raises(SystemExit) as done:
        main([*command, "--out", str(out), "--least", "60", "--json"])
    assert done.value.code == 0
    said = json.loads(capfd.readouterr().out)
    assert said["labelled"] >= 1
    faces, scheme = read_faces(f"weighted:{out}:{tmp_path / 'pictures'}")
    assert scheme == IBUG_68
    assert faces[0].identity == "space/one.png"
    assert faces[0].weights is not None
    assert 0 < faces[0].weights.max() <= 0.5
    assert np.abs(np.concatenate([faces[0].points.min(axis=0), faces[0].points.max(axis=0)]) - BOX).max() < 25


@pytest.mark.parametrize(
    ("named", "why"),
    [
        (["student-68:2"], "2 is no trust from 0 to 1"),
        (["student-68:high"], "could not convert"),
        (["student-68:1:mouth"], "'mouth' is no point and no range"),
        (["student-68:1:67-17"], "'67-17' ends before it begins"),
        (["student-68:1:17-68"], "ibug-68 has 68 points"),
        (["student-67"], "there is no such file"),
    ],
)
def test_who_labels_must_be_known(named: list[str], why: str) -> None:
    with pytest.raises(UserError, match=why):
        open_sources(named)


@pytest.mark.parametrize(("content", "why"), [(None, "no pictures in it"), (np.zeros((64, 64, 3)), "none was sure")])
def test_a_folder_without_faces_is_refused_and_nothing_is_written(
    tmp_path: Path, content: NDArray[np.float64] | None, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures").mkdir()
    if content is not None:
        cv2.imwrite(str(tmp_path / "pictures" / "black.png"), content)
    command = ["label", "--pictures", str(tmp_path / "pictures"), "--by", "student-68", "--detector", "cascade"]
    with pytest.raises(SystemExit) as done:
        main([*command, "--out", str(tmp_path / "l.csv"), "--json"])
    assert done.value.code == 2
    assert why in json.loads(capfd.readouterr().out)["error"]["why"]
    assert not (tmp_path / "l.csv").exists()


def test_what_would_end_the_run_late_is_refused_first(astronaut: Picture, tmp_path: Path) -> None:
    network = Unsure(0.0)
    network.ours = tuple(range(17))
    with pytest.raises(UserError, match="does not give the outer eye corners"):
        label_folder(tmp_path, [Source(network, 1.0)], IBUG_68, open_detector("cascade"), 24)
    cv2.imwrite(str(tmp_path / "a.png"), astronaut)
    (tmp_path / "b.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"b\.png"):
        picture_files(tmp_path)
    (tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"\xff.png"))
    (tmp_path / "b.png").unlink()
    with pytest.raises(UserError, match="is no text"):
        picture_files(tmp_path)


@pytest.mark.parametrize(("name", "why"), [("folder", "it is a folder"), ("file.txt/l.csv", "can be written to")])
def test_a_file_that_cannot_be_written_is_refused_first(
    tmp_path: Path, name: str, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").touch()
    command = ["label", "--pictures", str(tmp_path / "none"), "--by", "student-68", "--detector", "cascade"]
    with pytest.raises(SystemExit) as done:
        main([*command, "--out", str(tmp_path / name), "--json"])
    assert done.value.code == 2
    assert why in json.loads(capfd.readouterr().out)["error"]["why"]
