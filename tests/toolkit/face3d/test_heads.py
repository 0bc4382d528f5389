"""Procedural heads: geometry that is known, and pictures that agree with it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import save_file

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.aligned_face import align_face
from npuface_toolkit.face3d.head_pictures import draw_head, draw_pose, head_landmarks, picture_of
from npuface_toolkit.face3d.head_shape import HeadShape, distance, draw_shape, stretched, unstretched
from npuface_toolkit.face3d.head_views import HeadViews, load_views, make_views, save_views, stacked
from npuface_toolkit.face3d.landmark_pose import project
from npuface_toolkit.face3d.pose import Pose, camera_to_world
from npuface_toolkit.face3d.rays import RayConfig

CAMERA = RayConfig()


@pytest.fixture(scope="module")
def views() -> HeadViews:
    return stacked(list(make_views(3, 2, 32, 5, 45, 20)))


@pytest.mark.parametrize("seed", range(4))
def test_stretching_is_undone(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = draw_shape(random)
    places = random.uniform(-1, 1, (50, 3)).astype(np.float32)
    np.testing.assert_allclose(unstretched(stretched(places, shape), shape), places, atol=1e-5)


def test_distance_has_the_right_sign_and_is_right_near_the_surface() -> None:
    shape = HeadShape()
    assert distance(np.array([[0, 0.3, 0]], np.float32), shape)[0] < -0.3
    top = np.array([[0, y, -0.13] for y in np.linspace(0.5, 1.3, 400)], np.float32)
    surface = top[np.abs(distance(top, shape)).argmin()]
    for off in (-0.05, 0.05, 0.1):
        assert distance(surface[None] + np.array([0, off, 0], np.float32), shape)[0] == pytest.approx(off, abs=0.012)


@pytest.mark.parametrize("seed", range(3))
def test_landmarks_lie_on_the_surface(seed: int) -> None:
    shape = draw_shape(np.random.default_rng(seed))
    points = head_landmarks(shape)
    assert np.abs(distance(points.astype(np.float32), shape)).max() < 0.01
    assert points[30, 2] == points[17:, 2].max(), "the tip of the nose stands out"


@pytest.mark.parametrize("pose", [Pose(), Pose(35, 10), Pose(-45, -20)])
def test_depth_is_where_the_surface_is(pose: Pose) -> None:
    """A landmark that is seen lies at the depth of the pixel that it falls on."""
    head = draw_head(np.random.default_rng(2))
    picture = picture_of(head, pose, 96)
    points = head_landmarks(head.shape)[[30, 27, 51]]
    origin = (camera_to_world([pose])[0, :, 2] * CAMERA.distance).numpy()
    away = np.linalg.norm(points - origin, axis=1)
    places = (project(points, pose, CAMERA.distance, CAMERA.tan_half) * 96 - 0.5).round().astype(int)
    np.testing.assert_allclose(picture.depth[places[:, 1], places[:, 0]], away, atol=0.05)


def test_the_silhouette_covers_the_depth() -> None:
    picture = picture_of(draw_head(np.random.default_rng(0)), Pose(20), 64)
    assert ((picture.depth > 0) == (picture.opacity > 0.5)).all()
    assert 0.1 < picture.opacity.mean() < 0.6
    assert picture.rgb.min() >= 0
    assert picture.rgb.max() <= 1


def test_one_seed_gives_one_head(views: HeadViews) -> None:
    again = stacked(list(make_views(3, 2, 32, 5, 45, 20)))
    np.testing.assert_array_equal(views.rgb, again.rgb)
    np.testing.assert_array_equal(views.inside, again.inside)
    assert (views.rgb[0] != views.rgb[1]).any()


def test_points_near_the_surface_lie_on_both_sides(views: HeadViews) -> None:
    near = views.inside[:, views.inside.shape[1] // 2 :].mean()
    assert 0.3 < near < 0.6


def test_heads_are_written_and_read(views: HeadViews, tmp_path: Path) -> None:
    save_views(tmp_path / "heads.safetensors", views)
    np.testing.assert_array_equal(load_views(tmp_path / "heads.safetensors").depth, views.depth)
    assert [path.name for path in tmp_path.iterdir()] == ["heads.safetensors"]


def test_what_is_no_heads_file_is_refused(tmp_path: Path, views: HeadViews) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_views(tmp_path / "gone.safetensors")
    (tmp_path / "a").write_bytes(b"no")
    with pytest.raises(UserError, match="damaged"):
        load_views(tmp_path / "a")
    save_file({"rgb": views.rgb}, tmp_path / "b")
    with pytest.raises(UserError, match="something else"):
        load_views(tmp_path / "b")


def test_a_head_is_aligned_from_its_landmarks() -> None:
    """Scaled, turned and moved in a larger picture, it comes back as the model's camera saw it."""
    random = np.random.default_rng(3)
    errors = []
    for _ in range(12):
        head, pose = draw_head(random), draw_pose(random, 40, 15)
        picture = picture_of(head, pose, 64)
        rgb = (picture.rgb * 255).round().astype(np.uint8)
        moved = cv2.getRotationMatrix2D((32, 32), 25, 2.0) + np.array([[0, 0, 60.0], [0, 0, 40.0]])
        photograph = np.asarray(cv2.warpAffine(rgb, moved, (220, 200)), np.uint8)
        landmarks = picture.landmarks @ moved[:, :2].T + moved[:, 2]
        aligned = align_face(photograph, landmarks, 64)
        errors.append((abs(aligned.pose.yaw - pose.yaw), abs(aligned.pose.pitch - pose.pitch)))
        assert np.abs(aligned.landmarks[17:] - picture.landmarks[17:]).mean() < 2.5
    assert np.median(errors, axis=0).max() <= 5, "degrees; the head is no mean head"
