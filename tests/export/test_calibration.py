"""Calibration pictures: found, cut, varied towards every corner, and split from those that are measured on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_export.calibration import HELD_OUT_FROM, MIN_FACES, calibration_faces, coverage
from npuface_runtime.errors import UserError

SIZE, MARGIN = 64, 1.3


def write_faces(folder: Path, astronaut: NDArray[np.uint8], count: int) -> None:
    """Pictures of one face, each lit differently, in the folder and a folder in it."""
    (folder / "more").mkdir()
    face = cv2.resize(astronaut[:300, 60:390], (220, 200))
    for i in range(count):
        lit = np.clip(face.astype(np.float32) * (0.7 + 0.02 * i), 0, 255).astype(np.uint8)
        path = folder / ("more" if i % 2 else ".") / f"{i:02d}.png"
        assert cv2.imwrite(str(path), lit[:, :, ::-1])


def test_few_faces_are_measured_on_themselves(tmp_path: Path, astronaut: NDArray[np.uint8]) -> None:
    write_faces(tmp_path, astronaut, MIN_FACES)
    faces = calibration_faces(tmp_path, (SIZE, SIZE), MARGIN)
    assert not faces.held_out
    assert len(faces.plain) == MIN_FACES
    assert len(faces.varied) == 100
    assert all(crop.shape == (SIZE, SIZE, 3) and crop.dtype == np.float32 for crop in (*faces.varied, *faces.plain))


def test_enough_faces_are_split(tmp_path: Path, astronaut: NDArray[np.uint8]) -> None:
    write_faces(tmp_path, astronaut, HELD_OUT_FROM)
    blank = np.full((100, 100, 3), 128, np.uint8)
    assert cv2.imwrite(str(tmp_path / "blank.png"), blank)
    (tmp_path / "broken.png").write_bytes((tmp_path / "00.png").read_bytes()[:100])
    (tmp_path / "notes.txt").write_text("not a picture")
    faces = calibration_faces(tmp_path, (SIZE, SIZE), MARGIN)
    assert faces.held_out
    assert len(faces.plain) == HELD_OUT_FROM // 3
    assert (faces.pictures, faces.without_face, faces.unreadable) == (HELD_OUT_FROM + 2, 1, 1)
    again = calibration_faces(tmp_path, (SIZE, SIZE), MARGIN)
    np.testing.assert_array_equal(np.stack(again.varied), np.stack(faces.varied))


def test_too_few_faces_are_refused(tmp_path: Path, astronaut: NDArray[np.uint8]) -> None:
    write_faces(tmp_path, astronaut, MIN_FACES - 1)
    with pytest.raises(UserError, match="only 3 of its 3 pictures show a face"):
        calibration_faces(tmp_path, (SIZE, SIZE), MARGIN)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.raises(UserError, match="it has no pictures"):
        calibration_faces(tmp_path, (SIZE, SIZE), MARGIN)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        calibration_faces(tmp_path / "nowhere", (SIZE, SIZE), MARGIN)


def test_coverage_counts_blocks() -> None:
    corners = np.array([[[0, 0], [63, 63]], [[63, 0], [0, 63]]], np.float32)
    assert coverage(corners, (64, 64)) == 4 / 64
    every = np.stack(np.meshgrid(np.arange(64), np.arange(64)), axis=-1).astype(np.float32)
    assert coverage(every, (64, 64)) == 1
    assert coverage(corners * 0 - 5, (64, 64)) == 1 / 64
