"""Readers and the split by identity."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npuface_runtime.errors import UserError
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face, check_inside, read_picture, split_by_identity


def _face_points(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(10, 50, (68, 2)).round(1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for name in ("Ann_Lee_00.jpg", "Ann_Lee_01.jpg", "Bo_07.jpg"):
        cv2.imwrite(str(tmp_path / "pictures" / name), np.full((64, 80, 3), (0, 0, 255), np.uint8))
    return tmp_path


def _csv(folder: Path, rows: list[tuple[str, np.ndarray]], header: bool = True) -> str:
    lines = ["," + ",".join(str(i) for i in range(136))] if header else []
    lines += [name + "," + ",".join(str(v) for v in points.ravel()) for name, points in rows]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return f"points:{folder}/labels.csv:{folder}/pictures"


@pytest.mark.parametrize("header", [True, False])
def test_points_csv(folder: Path, header: bool) -> None:
    source = _csv(folder, [("Ann_Lee_00.jpg", _face_points(0)), ("Bo_07.jpg", _face_points(1))], header)
    faces, scheme = read_faces(source)
    assert scheme.name == "ibug-68"
    assert [face.identity for face in faces] == ["Ann_Lee", "Bo"]
    np.testing.assert_allclose(faces[1].points, _face_points(1), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("Jane_Doe_03.jpg", "Jane_Doe"),
        ("Jane_Doe/03.jpg", "Jane_Doe"),
        ("Bo/03.jpg", "Bo"),
        ("Bo/frame_003.jpg", "Bo/frame"),
        ("portrait.jpg", "portrait"),
        ("26.1__20161219140540938.jpg", "26.1__20161219140540938"),
        ("03.jpg", "03"),
    ],
)
def test_who_a_face_is_by_the_name_of_its_picture(tmp_path: Path, name: str, who: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    cv2.imwrite(str(tmp_path / name), np.zeros((64, 80, 3), np.uint8))
    (tmp_path / "labels.csv").write_text(name + "," + ",".join(str(v) for v in _face_points().ravel()))
    (face,), _ = read_faces(f"points:{tmp_path}/labels.csv")
    assert face.identity == who


def _weighted_csv(folder: Path, rows: list[tuple[str, np.ndarray]]) -> str:
    lines = [name + "," + ",".join(str(v) for v in values.ravel()) for name, values in rows]
    (folder / "weighted.csv").write_text("\n".join(lines) + "\n")
    return f"weighted:{folder}/weighted.csv:{folder}/pictures"


def test_weighted_csv(folder: Path) -> None:
    """Points and how far each is known; faces of one picture share an identity: a split keeps them together."""
    values = np.concatenate([_face_points(0), np.linspace(0, 1, 68)[:, None]], axis=1)
    faces, scheme = read_faces(_weighted_csv(folder, [("Ann_Lee_00.jpg", values), ("Ann_Lee_00.jpg", values)]))
    assert scheme.name == "ibug-68"
    assert [face.identity for face in faces] == ["Ann_Lee_00.jpg"] * 2
    np.testing.assert_allclose(faces[0].points, values[:, :2], atol=1e-4)
    assert faces[1].weights is not None
    np.testing.assert_allclose(faces[1].weights, values[:, 2], atol=1e-6)


@pytest.mark.parametrize(
    ("weight", "reason"), [("1.5", "not in 0..1"), ("nan", "not in 0..1"), ("much", "could not convert")]
)
def test_a_weight_that_is_none_is_refused(folder: Path, weight: str, reason: str) -> None:
    row = "Bo_07.jpg," + ",".join(["5,6,1"] * 67) + f",5,6,{weight}"
    (folder / "weighted.csv").write_text(row + "\n")
    with pytest.raises(UserError, match=reason):
        read_faces(f"weighted:{folder}/weighted.csv:{folder}/pictures")


def test_a_weighted_row_that_is_not_of_threes_is_refused(folder: Path) -> None:
    (folder / "weighted.csv").write_text("Bo_07.jpg," + ",".join(["5,6,1"] * 67) + ",5,6\n")
    with pytest.raises(UserError, match="not three numbers"):
        read_faces(f"weighted:{folder}/weighted.csv:{folder}/pictures")


def test_wflw_list(folder: Path) -> None:
    points = np.random.default_rng(2).uniform(5, 60, (98, 2))
    numbers = " ".join(f"{v:.6f}" for v in points.ravel())
    (folder / "list.txt").write_text(f"{numbers} 1 2 3 4 1 0 0 0 1 0 Bo_07.jpg\n")
    faces, scheme = read_faces(f"wflw:{folder}/list.txt:{folder}/pictures")
    assert scheme.name == "wflw-98"
    assert faces[0].attributes == {"pose", "occlusion"}
    np.testing.assert_allclose(faces[0].points, points, atol=1e-5)


def test_pictures_are_rgb(folder: Path) -> None:
    picture = read_picture(folder / "pictures" / "Bo_07.jpg")
    assert picture.shape == (64, 80, 3)
    assert picture[..., 0].mean() > 200 > 50 > picture[..., 2].mean()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("Bo_07.jpg", _face_points()[:5]), "5 landmarks a face"),
        (("Nobody_00.jpg", _face_points()), "a picture is missing.*Nobody_00.jpg"),
        (("Bo_07.jpg", np.full((68, 2), np.nan)), "a coordinate is not finite"),
        (("Bo_07.jpg", np.array(["x"] * 136)), "bad points"),
    ],
)
def test_bad_rows_are_refused(folder: Path, row: tuple[str, np.ndarray], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        read_faces(_csv(folder, [row]))


def test_mixed_point_counts_are_refused(folder: Path) -> None:
    rows = [("Bo_07.jpg", _face_points()), ("Ann_Lee_00.jpg", _face_points()[:60])]
    with pytest.raises(UserError, match=r"mixed labels: its faces have \[60, 68\] points"):
        read_faces(_csv(folder, rows))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("labels.csv", "not FORMAT:FILE"),
        ("coco:labels.json", "not FORMAT:FILE"),
        ("points:/nowhere/labels.csv", "there is no file"),
    ],
)
def test_bad_sources_are_refused(source: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        read_faces(source)


def test_binary_and_empty_label_files_are_refused(folder: Path) -> None:
    (folder / "binary.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(UserError, match="not a text file"):
        read_faces(f"points:{folder}/binary.csv")
    (folder / "empty.csv").write_text("")
    with pytest.raises(UserError, match="has no faces"):
        read_faces(f"points:{folder}/empty.csv")


def test_a_wrong_first_row_is_no_heading_and_a_wrong_line_is_named(folder: Path) -> None:
    rows = [f"Bo_07.jpg,{'typo' if wrong else 7},8," + ",".join(["9,10"] * 67) for wrong in (True, False)]
    (folder / "labels.csv").write_text("\n".join(rows))
    with pytest.raises(UserError, match=r"labels.csv, line 1: bad points"):
        read_faces(f"points:{folder}/labels.csv:{folder}/pictures")
    (folder / "labels.csv").write_text("name,x0,y0\n\n" + rows[0])
    with pytest.raises(UserError, match=r"labels.csv, line 3: bad points"):
        read_faces(f"points:{folder}/labels.csv:{folder}/pictures")


def test_files_that_are_hardly_files_are_refused(folder: Path) -> None:
    (folder / "quote.csv").write_text('Bo_07.jpg,"' + "1," * 200_000)
    with pytest.raises(UserError, match="not a text file"):
        read_faces(f"points:{folder}/quote.csv:{folder}/pictures")
    with pytest.raises(UserError, match="there is no file"):
        read_faces(f"points:{folder}/{'x' * 300}.csv")
    with pytest.raises(UserError, match="a picture is missing"):
        read_faces(_csv(folder, [("y" * 300 + ".jpg", _face_points())]))


def test_a_face_whose_eye_corners_coincide_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"outer eye corners of a face in Bo_07.jpg coincide"):
        read_faces(_csv(folder, [("Bo_07.jpg", np.zeros((68, 2)))]))


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    for name in ("text.jpg", "empty.jpg"):
        with pytest.raises(UserError, match="not a picture"):
            read_picture(tmp_path / name)
    with pytest.raises(UserError, match="no such file"):
        read_picture(tmp_path / "missing.jpg")


def test_points_far_outside_the_picture_are_refused() -> None:
    inside = Face(Path("a.jpg"), np.array([[-5, 0], [90, 70]], np.float32), "a")
    check_inside(inside, 80, 64)
    outside = Face(Path("a.jpg"), np.array([[300, 0], [390, 70]], np.float32), "a")
    with pytest.raises(UserError, match=r"points outside the picture: they span x 300\.\.390"):
        check_inside(outside, 80, 64)


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=40), st.floats(0, 1))
def test_no_identity_is_on_both_sides(identities: list[str], share: float) -> None:
    faces = [Face(Path("x.jpg"), np.zeros((68, 2), np.float32), name) for name in identities]
    training, held_out = split_by_identity(faces, share)
    assert not {f.identity for f in training} & {f.identity for f in held_out}
    assert len(training) + len(held_out) == len(faces)


def test_what_a_network_labelled_in_a_picture_of_somebody_held_out_is_left_out() -> None:
    points, weights = np.zeros((68, 2), np.float32), np.ones(68, np.float32)
    people = [Face(Path(f"{i}.jpg"), points, f"person {i}") for i in range(40)]
    labelled = [Face(face.picture, points, face.picture.name, weights=weights) for face in people]
    training, held_out = split_by_identity(people + labelled, 0.5)
    assert 0 < len(held_out) < 40
    assert len(training) == 2 * (40 - len(held_out))
    assert not {face.picture for face in training} & {face.picture for face in held_out}


def test_the_split_holds_out_the_share_asked_for_and_is_stable() -> None:
    faces = [Face(Path("x.jpg"), np.zeros((68, 2), np.float32), f"person {i}") for i in range(2000)]
    training, held_out = split_by_identity(faces, 0.2)
    assert 0.17 < len(held_out) / len(faces) < 0.23
    assert [f.identity for f in split_by_identity(faces[::-1], 0.2)[1]] == [f.identity for f in held_out][::-1]
    assert split_by_identity(training[:1], 0.2)[0] == training[:1]


def test_real_data_splits_by_person(data: Path) -> None:
    faces, _ = read_faces(f"points:{data}/p1/training_frames_keypoints.csv:{data}/p1/training")
    more, _ = read_faces(f"points:{data}/p1/test_frames_keypoints.csv:{data}/p1/test")
    training, held_out = split_by_identity(faces + more, 0.2)
    assert len(held_out) > 300
    assert not {f.identity for f in training} & {f.identity for f in held_out}
