from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from npuface_benchmarks.draw import draw_faces, encode_picture, write_picture
from npuface_runtime import Face, UserError


def face(side: float) -> Face:
    """One that fills the middle of a square picture of that side, with two landmarks."""
    box = (side * 0.2, side * 0.2, side * 0.8, side * 0.8)
    return Face(box, 1.0, np.array([[0.4, 0.5], [0.6, 0.5]], np.float32) * np.float32(side), None)


@pytest.mark.parametrize(("side", "most"), [(64, 0.3), (200, 0.1), (4000, 0.03)])
def test_landmarks_and_box_are_seen_at_every_size(side: int, most: float) -> None:
    frame = np.full((side, side, 3), 128, np.uint8)
    drawn = draw_faces(frame, [face(side)])
    assert (frame == 128).all()
    for x, y in ((0.4, 0.5), (0.6, 0.5)):
        red, green, blue = drawn[round(y * side), round(x * side)].astype(int)
        assert green > max(red, blue) + 40
    assert drawn[round(side * 0.2), side // 2].min() > 170
    assert (drawn != 128).any(axis=2).mean() < most


def test_a_landmark_is_drawn_where_it_lies() -> None:
    drawn = draw_faces(
        np.zeros((101, 201, 3), np.uint8), [Face((0, 0, 200, 100), 1.0, np.array([[150.0, 40.0]]), None)]
    )
    y, x = np.nonzero(drawn[10:90, 10:190, 1] > 200)
    assert (x.mean() + 10, y.mean() + 10) == pytest.approx((150, 40), abs=0.05)


def test_landmarks_far_outside_are_harmless() -> None:
    far = Face((-1e9, -5.0, 1e9, 5.0), 1.0, np.array([[1e12, -1e12], [np.float32(3e38), 0]]), None)
    draw_faces(np.zeros((20, 20, 3), np.uint8), [far])


def test_written_picture_has_its_colours(tmp_path: Path) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 0] = 200
    write_picture(tmp_path / "new" / "red.png", picture)
    read = cv2.imread(str(tmp_path / "new" / "red.png"), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(read, picture)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["red.png"]


@pytest.mark.parametrize("ending", ["", ".xyz"])
def test_an_unknown_picture_format_is_refused(ending: str) -> None:
    with pytest.raises(UserError, match="no picture format"):
        encode_picture(np.zeros((4, 4, 3), np.uint8), ending)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        write_picture(tmp_path / "file" / "x.png", np.zeros((4, 4, 3), np.uint8))
