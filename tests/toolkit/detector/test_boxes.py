"""The boxes CSV: what is read, what is refused, how pictures are split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import write_squares

from npuface_runtime.errors import UserError
from npuface_toolkit.detector.boxes import boxed_pictures, read_boxes, split_pictures
from npuface_toolkit.face_files import read_faces


def test_lines_of_a_picture_belong_together_and_a_bare_name_has_no_face(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    (tmp_path / "boxes.csv").write_text("a.png,1,2,11,22,0.9\nb.png\na.png,30,30,40,50,0.4\n")
    first, second = read_boxes(f"{tmp_path / 'boxes.csv'}")
    np.testing.assert_array_equal(first.boxes, [[1, 2, 11, 22], [30, 30, 40, 50]])
    np.testing.assert_allclose(first.scores, [0.9, 0.4])
    assert second.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a.png,1,2,x,4,0.5", "could not convert"),
        ("a.png,1,2,3", "is no box"),
        ("a.png,5,2,3,4,0.5", "is no box"),
        ("a.png,1,2,nan,4,0.5", "is no box"),
        ("a.png,1,2,3,4,1.5", "score from 0 to 1"),
        ("missing.png,1,2,3,4,0.5", "no such file"),
    ],
)
def test_a_damaged_line_is_refused(line: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "boxes.csv").write_text(line + "\n")
    with pytest.raises(UserError, match=why):
        read_boxes(f"{tmp_path / 'boxes.csv'}")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_boxes(f"{tmp_path / 'none.csv'}")


def test_a_file_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_bytes("é.png,1,2,3,4,0.5\n".encode("latin-1"))
    with pytest.raises(UserError, match="no CSV in UTF-8"):
        read_boxes(f"{tmp_path / 'boxes.csv'}")


@pytest.mark.parametrize("form", ["points", "wflw"])
def test_nobody_whom_an_evaluation_holds_out_is_trained_on(tmp_path: Path, form: str) -> None:
    """The same people in a CSV of boxes, to train on, and in one of landmarks, to evaluate on."""
    points = np.random.default_rng(0).uniform(5, 60, (68, 2))
    names = [f"crowd/Person{who}_{frame}.png" for who in range(40) for frame in range(3)]
    (tmp_path / "crowd").mkdir()
    for name in names:
        (tmp_path / name).touch()
    values = [f"{value:.2f}" for value in points.ravel()]
    lines = {
        "points": [",".join([name, *values]) for name in names],
        "wflw": [" ".join([*values, "1 2 3 4 0 0 0 0 0 0", name]) for name in names],
    }
    (tmp_path / "labels").write_text("\n".join(lines[form]))
    (tmp_path / "boxes.csv").write_text("\n".join(f"{name},1,2,3,4,0.9" for name in names))
    training, _ = split_pictures(read_boxes(f"{tmp_path / 'boxes.csv'}"), 0.3)
    faces, _ = read_faces(f"{form}:{tmp_path / 'labels'}:{tmp_path}")
    _, held_out = split_pictures(boxed_pictures(faces), 0.3)
    assert 20 < len(held_out) < 60
    assert len(training) + len(held_out) == len(names)
    assert not {picture.file for picture in training} & {picture.file for picture in held_out}


def test_a_picture_stays_on_its_side_of_the_split(tmp_path: Path) -> None:
    pictures = read_boxes(write_squares(tmp_path, 40))
    training, held_out = split_pictures(pictures, 0.3)
    again = split_pictures(pictures[::-1], 0.3)[1]
    assert {p.file for p in held_out} == {p.file for p in again}
    assert len(training) + len(held_out) == 40
    assert 4 <= len(held_out) <= 20
