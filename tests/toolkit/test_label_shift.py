"""Shifted labels: a known shift on drawn faces, that of real labels, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_toolkit.cli import main
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face
from npuface_toolkit.label_shift import Residuals, Shift, fit_shift, moved_back, open_labels, residuals
from npuface_toolkit.labelling import Checkpoint, Source
from npuface_toolkit.schemes import IBUG_68

Picture = NDArray[np.uint8]
SHAPE = np.random.default_rng(0).normal(0, 0.3, (68, 2))
SHAPE = (SHAPE + SHAPE[list(IBUG_68.flip)] * (-1, 1)) / 2
"""A shape that is its own mirror image, over half the side of a drawn square."""


class SeesSquares:
    """Finds the points of a drawn square, but always too far right and too far down."""

    name, scheme = "squares", IBUG_68
    ours: tuple[int, ...] = tuple(range(68))

    def points(self, picture: Picture, box: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, columns = np.nonzero(picture[..., 0] > 128)
        half = (columns.max() - columns.min()) / 2
        return np.asarray(SHAPE * half + [columns.mean() + 2, rows.mean() + 0.5], np.float32)


class Only:
    """A network that gives a few points of another."""

    def __init__(self, network: SeesSquares) -> None:
        self._network, self.name, self.scheme, self.ours = network, "only", IBUG_68, network.ours

    def points(self, picture: Picture, box: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._network.points(picture, box)[list(self.ours)]


def drawn(folder: Path, shift: Shift, faces: int = 60) -> list[Face]:
    """Squares with labels that are shifted, one in ten of them wrong altogether."""
    rng, made = np.random.default_rng(1), []
    for number in range(faces):
        half = int(rng.integers(12, 48))
        x, y = (int(v) for v in rng.integers(50, 100, 2))
        picture = np.zeros((160, 160, 3), np.uint8)
        picture[y - half : y + half + 1, x - half : x + half + 1] = 255
        cv2.imwrite(str(folder / f"p{number}_0.png"), picture)
        points = SHAPE * half + [x, y]
        eyes = float(np.linalg.norm(points[36] - points[45]))
        points = points + shift.at(eyes) + rng.normal(0, 0.3, (68, 2)) + (20 if number % 10 == 0 else 0)
        made.append(Face(folder / f"p{number}_0.png", points.astype(np.float32), f"p{number}"))
    return made


def test_a_shift_is_found_whatever_that_of_the_network_along_x(tmp_path: Path) -> None:
    true = Shift((0.8, -0.4), (0.02, 0.05))
    found = residuals(drawn(tmp_path, true), Source(SeesSquares(), 1.0), IBUG_68)
    shift = fit_shift(found)
    for eyes in np.percentile(found.eyes, (10, 90)):
        assert np.abs(shift.at(eyes) - true.at(eyes) + [0, 0.5]).max() < 0.15  # along y its own half pixel is in it
    assert found.nme(shift) < found.nme()
    assert np.abs(Shift((0.8, -0.4), (0.02, 0.05)).at(10.0) - [1.0, 0.1]).max() < 1e-12


def test_labels_that_lie_right_are_left_there(tmp_path: Path) -> None:
    shift = fit_shift(residuals(drawn(tmp_path, Shift((0, 0.5), (0, 0))), Source(SeesSquares(), 1.0), IBUG_68))
    assert np.abs(shift.at(np.array([10.0, 40.0]))).max() < 0.15


def test_faces_of_one_size_give_a_shift_in_pixels_alone() -> None:
    """No slope can be fitted over sizes that hardly differ; one of exactly one size has none at all."""
    rng = np.random.default_rng(0)
    apart = rng.normal((1.5, -0.5), 0.3, (80, 68, 2))
    for eyes in (np.full(80, 42.0), rng.uniform(41.9, 42.1, 80)):
        shift = fit_shift(Residuals(apart, eyes))
        assert shift.share == (0.0, 0.0)
        assert np.abs(np.subtract(shift.pixels, (1.5, -0.5))).max() < 0.05


def test_points_that_the_mirror_image_lacks_do_not_count(tmp_path: Path) -> None:
    network = SeesSquares()
    network.ours = (17, 36, 45)  # 17 without 26, its mirror image
    found = residuals(drawn(tmp_path, Shift((1, 1), (0, 0)), 2), Source(Only(network), 1.0), IBUG_68)
    assert found.apart.shape == (2, 2, 2)
    assert np.isfinite(found.apart).all()


def test_labels_are_not_written_over_those_given(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write_labels(tmp_path, drawn(tmp_path, Shift((1, 1), (0, 0)), 2))
    before = (tmp_path / "labels.csv").read_text()
    code, said = run(["--data", source, "--by", "light-68", "--out", f"{tmp_path}/nowhere/.."], capfd)
    assert code == 2
    assert "itself lies there" in str(said["error"])
    assert (tmp_path / "labels.csv").read_text() == before


def test_absolute_names_of_pictures_are_kept(tmp_path: Path) -> None:
    faces = drawn(tmp_path, Shift((1, 1), (0, 0)), 2)
    lines = [f"{face.picture}," + ",".join(str(v) for v in face.points.ravel()) for face in faces]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "labels.csv").write_text("\n".join(lines))
    (labels,), scheme = open_labels([f"points:{tmp_path}/elsewhere/labels.csv"])
    assert moved_back(labels, scheme, Shift((1, 1), (0, 0))).startswith(f"{faces[0].picture},")


def test_labels_of_youtube_faces_lie_a_pixel_to_the_right(data: Path) -> None:
    faces, scheme = read_faces(f"points:{data / 'p1/test_frames_keypoints.csv'}:{data / 'p1/test'}")
    shift = fit_shift(residuals(faces[::5], Source(Checkpoint("light-68"), 1.0), scheme))
    assert 0.7 < shift.at(42.0)[0] < 1.6


def write_labels(folder: Path, faces: list[Face]) -> str:
    lines = [f"{face.picture.name}," + ",".join(str(v) for v in face.points.ravel()) for face in faces]
    (folder / "labels.csv").write_text("\n".join(lines))
    return f"points:{folder / 'labels.csv'}:{folder}"


def run(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    with pytest.raises(SystemExit) as done:
        main(["label-shift", *arguments, "--json"])
    said: dict[str, object] = json.loads(capfd.readouterr().out)
    assert isinstance(done.value.code, int)
    return done.value.code, said


def test_the_command_moves_labels_back(astronaut: Picture, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The photograph's face in many sizes, labelled by the network itself, then moved."""
    rng, network, faces = np.random.default_rng(0), Checkpoint("light-68"), []
    for number in range(75):
        size = int(rng.integers(280, 700))
        picture = cv2.resize(astronaut, (size, size), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / f"p{number}_0.png"), picture[..., ::-1])
        points = network.points(picture, np.array([177, 88, 272, 178], np.float32) * np.float32(size / 512))
        faces.append(Face(tmp_path / f"p{number}_0.png", points + np.array([3, -2], np.float32), f"p{number}"))
    source = write_labels(tmp_path, faces)
    code, said = run(["--data", source, "--by", "light-68", "--out", str(tmp_path / "back")], capfd)
    assert code == 0
    assert said["fitted_faces"] + said["faces"] == 75  # type: ignore[operator]
    assert said["after"] < 0.6 * said["before"]  # type: ignore[operator]
    back, _ = read_faces(f"points:{tmp_path / 'back' / 'labels.csv'}:{tmp_path}")
    moved = np.mean([old.points - new.points for old, new in zip(faces, back, strict=True)], axis=(0, 1))
    assert np.abs(moved - [3, -2]).max() < 0.7
    assert [face.identity for face in back] == [face.identity for face in faces]


def test_too_few_faces_tell_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write_labels(tmp_path, drawn(tmp_path, Shift((1, 1), (0, 0)), 12))
    code, said = run(["--data", source, "--by", "light-68", "--out", str(tmp_path / "back")], capfd)
    assert code == 2
    assert "too few to tell a shift from noise" in str(said["error"])
    assert not (tmp_path / "back").exists()


def test_nobody_held_out_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write_labels(tmp_path, drawn(tmp_path, Shift((1, 1), (0, 0)), 1))
    code, said = run(["--data", source, "--by", "light-68", "--held-out", "0.01"], capfd)
    assert code == 2
    assert "nobody is held out" in str(said["error"])


def test_only_points_are_written_again_and_names_must_differ(tmp_path: Path) -> None:
    source = write_labels(tmp_path, drawn(tmp_path, Shift((1, 1), (0, 0)), 2))
    (tmp_path / "weighted.csv").write_text("p0_0.png," + ",".join(["10,12,0.5"] * 68))
    with pytest.raises(UserError, match="its format is weighted"):
        open_labels([f"weighted:{tmp_path / 'weighted.csv'}:{tmp_path}"])
    with pytest.raises(UserError, match="two files have that name"):
        open_labels([source, source])


def test_a_network_must_give_a_point_that_counts(tmp_path: Path) -> None:
    network = SeesSquares()
    network.ours = (1, 2)
    with pytest.raises(UserError, match="none of the points named"):
        residuals(drawn(tmp_path, Shift((1, 1), (0, 0)), 2), Source(network, 1.0, (60,)), IBUG_68)


def test_eye_corners_in_one_place_are_refused(tmp_path: Path) -> None:
    face = drawn(tmp_path, Shift((1, 1), (0, 0)), 1)[0]
    face.points[36] = face.points[45]
    with pytest.raises(UserError, match="outer eye corners coincide"):
        residuals([face], Source(SeesSquares(), 1.0), IBUG_68)


def test_who_is_asked_must_have_the_scheme_of_the_data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "98.csv").write_text("p0_0.png," + ",".join(f"{n},12" for n in range(98)))
    cv2.imwrite(str(tmp_path / "p0_0.png"), np.zeros((64, 64, 3), np.uint8))
    code, said = run(["--data", f"points:{tmp_path / '98.csv'}:{tmp_path}", "--by", "light-68"], capfd)
    assert code == 2
    assert "it has ibug-68 landmarks, the data wflw-98" in str(said["error"])
