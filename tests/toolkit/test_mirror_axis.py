"""Shifts of labels by mirror axes: known ones on drawn faces, that of real labels, and faces that say nothing."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_toolkit.cli import main
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face
from npuface_toolkit.mirror_axis import mirror_shift
from npuface_toolkit.schemes import IBUG_68, WFLW_98, Scheme


def drawn(
    folder: Path, scheme: Scheme, shift: tuple[float, float], faces: int = 60, *, alike: bool = True
) -> list[Face]:
    """Blots that are their own mirror image (or not), leaning to both sides, labels `shift` of the eye distance off."""
    rng, flip = np.random.default_rng(0), list(scheme.flip)
    shape = rng.normal(0, 0.3, (scheme.points, 2))
    shape[list(scheme.eye_corners)] = (-0.5, 0.05), (0.5, 0.05)
    shape = (shape + shape[flip] * (-1, 1)) / 2
    made = []
    for number in range(faces):
        blots = cv2.GaussianBlur(rng.normal(0, 1, (201, 201)), (0, 0), 4.0)
        blots = blots + blots[:, ::-1] if alike else blots
        picture = np.uint8(np.clip(128 + 600 * blots, 0, 255))
        angle, eyes = float(rng.normal(0, 12)), float(rng.uniform(50, 90))
        turned = cv2.warpAffine(picture, cv2.getRotationMatrix2D((100, 100), angle, 1.0), (201, 201))
        light = np.linspace(1.0, rng.uniform(0.4, 1.0), 201)  # from one side
        cv2.imwrite(str(folder / f"{number}.png"), np.uint8(turned * light))
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        points = eyes * (shape @ np.array([[cos, -sin], [sin, cos]]) + shift) + 100
        made.append(Face(folder / f"{number}.png", points.astype(np.float32), f"p{number // 2}"))
    return made


def test_a_known_shift_is_found(tmp_path: Path) -> None:
    for scheme in (IBUG_68, WFLW_98):
        for shift in ((0.0, 0.0), (0.04, 0.03), (-0.05, 0.0)):
            found = mirror_shift(drawn(tmp_path, scheme, shift), scheme)
            assert found is not None
            assert found.faces > 50
            assert abs(found.share[0] - shift[0]) < 0.003
            assert abs(found.share[1] - shift[1]) < 0.015
            assert 0 < found.deviation[0] < found.deviation[1] < 0.01  # leaning faces alone tell y


def test_what_is_not_its_own_mirror_image_says_nothing(tmp_path: Path) -> None:
    assert mirror_shift(drawn(tmp_path, IBUG_68, (0.04, 0.03), alike=False), IBUG_68) is None


def test_turned_faces_and_too_few_say_nothing(tmp_path: Path) -> None:
    faces = drawn(tmp_path, IBUG_68, (0.04, 0.03))
    assert mirror_shift(faces[:20], IBUG_68) is None
    for face in faces:
        face.points[::3] += 20
    assert mirror_shift(faces, IBUG_68) is None


def test_labels_of_youtube_faces_lie_to_the_right_by_the_pictures_alone(data: Path) -> None:
    faces, scheme = read_faces(f"points:{data / 'p1/test_frames_keypoints.csv'}:{data / 'p1/test'}")
    found = mirror_shift(faces, scheme)
    assert found is not None
    assert 0.02 < found.share[0] < 0.04
    assert found.share[0] > 8 * found.deviation[0]
    back = [Face(face.picture, shifted(face.points, found.share, scheme), face.identity) for face in faces]
    again = mirror_shift(back, scheme)
    assert again is not None
    assert abs(again.share[0]) < 2 * again.deviation[0]


def shifted(points: NDArray[np.float32], share: tuple[float, float], scheme: Scheme) -> NDArray[np.float32]:
    left, right = points[list(scheme.eye_corners)]
    return points - np.float32(np.linalg.norm(right - left)) * np.asarray(share, np.float32)


def test_the_command_moves_labels_back_without_a_network(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path, drawn(tmp_path, IBUG_68, (0.04, 0.03), 120))
    code, said = run(["--data", source, "--held-out", "0.4", "--out", str(tmp_path / "back")], capfd)
    assert code == 0
    assert np.abs(np.subtract(said["share"], (0.04, 0.03))).max() < 0.015
    back, _ = read_faces(f"points:{tmp_path / 'back' / 'labels.csv'}:{tmp_path}")
    again = mirror_shift(back, IBUG_68)
    assert again is not None
    assert abs(again.share[0]) < 0.003
    assert said["mirror_held_out"]["faces"] + said["mirror"]["faces"] > 100  # type: ignore[index]


def test_the_command_refuses_faces_that_say_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path, drawn(tmp_path, IBUG_68, (0.04, 0.03), 12))
    code, said = run(["--data", source, "--out", str(tmp_path / "back")], capfd)
    assert code == 2
    assert "too few faces are seen from the front" in str(said["error"])
    assert not (tmp_path / "back").exists()


def written(folder: Path, faces: list[Face]) -> str:
    names = [face.picture.rename(folder / f"{face.identity}_{face.picture.stem}.png").name for face in faces]
    lines = [f"{name}," + ",".join(map(str, face.points.ravel())) for name, face in zip(names, faces, strict=True)]
    (folder / "labels.csv").write_text("\n".join(lines))
    return f"points:{folder / 'labels.csv'}:{folder}"


def run(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    with pytest.raises(SystemExit) as done:
        main(["label-shift", *arguments, "--json"])
    assert isinstance(done.value.code, int)
    said: dict[str, object] = json.loads(capfd.readouterr().out)
    return done.value.code, said
