"""A picture -> a head: the fit comes closer, a photograph becomes a mesh, and what cannot be is said."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import trimesh
from small import SHAPE, small_model
from torch import Tensor, nn

from npuface_export.photograph import photograph
from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.codes_file import load_codes, save_codes
from npuface_toolkit.face3d.evaluate import angle_between, different_people, on_heads, on_photos, psnr
from npuface_toolkit.face3d.face3d_checkpoint import Face3d, load_face3d, save_face3d
from npuface_toolkit.face3d.head_pictures import draw_head, picture_of
from npuface_toolkit.face3d.head_views import make_views, stacked
from npuface_toolkit.face3d.identity_crop import SIZE, face_crops
from npuface_toolkit.face3d.photo_to_mesh import photo_to_mesh
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.face3d.pose import Pose
from npuface_toolkit.face3d.rays import RayConfig
from npuface_toolkit.face3d.reconstruct import FitConfig, fit_head
from npuface_toolkit.face3d.sheets import render_poses

MODEL = small_model()
DATA = os.environ.get("NPUFACE_DATA")


class Mean(nn.Module):
    """Tells pictures apart by their colours in four parts."""

    def forward(self, pictures: Tensor) -> Tensor:
        vectors = nn.functional.adaptive_avg_pool2d(pictures - 0.5, 2).flatten(1)
        return nn.functional.normalize(vectors)


def rendered(seed: int, pose: Pose) -> np.ndarray:  # type: ignore[type-arg]
    torch.manual_seed(seed)
    zs, za = torch.randn(1, SHAPE.shape_codes, 1, 1), torch.randn(1, SHAPE.appearance_codes, 1, 1)
    return render_poses(MODEL.generator, zs, za, [pose])[0]


def test_the_fit_comes_closer_to_the_picture() -> None:
    pose = Pose(20, 5)
    found = fit_head(MODEL, rendered(3, pose), pose, FitConfig(60, 0.0, 0.1, 0.1, code_weight=0, shape_weight=0))
    assert found.difference[1] < 0.6 * found.difference[0]
    assert abs(found.pose.yaw - 20) < 6


def test_the_identity_takes_part_in_the_fit() -> None:
    class Blind(nn.Module):
        calls = 0

        def forward(self, pictures: Tensor) -> Tensor:
            Blind.calls += 1
            return nn.functional.normalize(pictures.flatten(1))

    fit_head(MODEL, rendered(3, Pose()), Pose(), FitConfig(steps=3), Blind())
    assert Blind.calls == 1 + 3


def test_no_steps_keep_the_first_guess() -> None:
    found = fit_head(MODEL, rendered(3, Pose()), Pose(10), FitConfig(steps=0, guess_share=0.0))
    assert found.difference[0] == found.difference[-1]
    assert found.pose.yaw == pytest.approx(10)


def test_errors_on_heads_are_those_of_the_truth() -> None:
    heads = stacked(list(make_views(2, 2, SHAPE.size, 3, 30, 10)))
    found = on_heads(MODEL, heads, FitConfig(steps=2))
    assert found.heads == 2
    assert found.depth_spread > 0
    assert found.depth_error > found.depth_spread / 4, "random weights know no depth"
    with pytest.raises(UserError, match="two views"):
        on_heads(MODEL, stacked(list(make_views(1, 1, SHAPE.size, 3, 30, 10))))


def test_people_are_told_apart_by_a_judge() -> None:
    rgb = np.stack([rendered(seed, Pose()) for seed in range(4)])
    photos = Photos(rgb, np.zeros((4, 3), np.float32), ("a", "b", "c", "d"))
    errors, made = on_photos(MODEL, photos, Mean(), FitConfig(steps=3))
    assert errors.photos == len(made) == 4
    assert errors.threshold == pytest.approx(different_people(Mean(), photos, SHAPE.rays))
    assert -1 <= errors.cosine <= 1
    assert set(errors.across_yaw) == {"15", "30", "45"}
    with pytest.raises(UserError, match="one person"):
        different_people(Mean(), Photos(rgb, photos.poses, ("a",) * 4), SHAPE.rays)


def test_measures_by_hand() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black) == 99
    assert psnr(black, black + np.uint8(255)) == pytest.approx(0)
    assert angle_between(Pose(30, 0, 0), np.array([10.0, 0, 0])) == pytest.approx(20, abs=0.05)


@pytest.mark.parametrize("pose", [Pose(), Pose(30, 10), Pose(-40)])
def test_a_turned_face_is_cut_where_it_is(pose: Pose) -> None:
    """The tip of the nose of a head comes to its place in the cut."""
    head = draw_head(np.random.default_rng(1))
    picture = picture_of(head, pose, 96)
    marked = np.zeros((96, 96, 3), np.float32)
    x, y = picture.landmarks[30]
    cv2.circle(marked, (round(float(x)), round(float(y))), 2, (1, 1, 1), cv2.FILLED)
    cut = face_crops(torch.from_numpy(marked).permute(2, 0, 1)[None], [pose], RayConfig())[0, 0].numpy()
    assert cut.shape == SIZE
    row, column = np.unravel_index(cut.argmax(), cut.shape)
    assert np.hypot(column - 48, row - 72) < 14


def test_codes_are_written_and_read(tmp_path: Path) -> None:
    codes = torch.randn(1, SHAPE.shape_codes, 1, 1), torch.randn(1, SHAPE.appearance_codes, 1, 1)
    save_codes(tmp_path / "a.safetensors", codes)
    torch.testing.assert_close(load_codes(tmp_path / "a.safetensors", SHAPE), codes)
    save_codes(tmp_path / "b.safetensors", (codes[0][:, :2], codes[1]))
    with pytest.raises(UserError, match="takes 4 of shape"):
        load_codes(tmp_path / "b.safetensors", SHAPE)
    save_codes(tmp_path / "c.safetensors", (codes[0] * torch.nan, codes[1]))
    with pytest.raises(UserError, match="not finite"):
        load_codes(tmp_path / "c.safetensors", SHAPE)
    with pytest.raises(UserError, match="cannot read the codes"):
        load_codes(tmp_path / "gone.safetensors", SHAPE)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_face3d(path, Face3d(MODEL.generator, MODEL.encoder, {}))
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    cv2.imwrite(str(path), cv2.cvtColor(photograph(), cv2.COLOR_RGB2BGR))
    return path


def test_a_photograph_becomes_a_mesh(checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "face.ply"
    made = photo_to_mesh(photo, out, str(checkpoint), "student-68", "cascade", None, 2, 24)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.codes.safetensors", "face.ply", "face.png"]
    assert made.faces == 1, "the cascade has a false alarm there, larger than the face"
    assert abs(made.yaw) < 25
    assert len(trimesh.load_mesh(out).vertices) == made.vertices
    assert cv2.imread(made.turntable).shape[1] == 9 * 192


def test_a_picture_without_a_face_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    with pytest.raises(UserError, match="finds no face"):
        photo_to_mesh(tmp_path / "grey.png", tmp_path / "a.glb", str(checkpoint), "student-68", "cascade", None, 2, 24)
    assert [path.name for path in tmp_path.iterdir()] == ["grey.png"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"out": "a.stl"}, "not a mesh format"),
        ({"model": "student-68"}, "format is"),
        ({"landmarks": "gone"}, "no such file"),
        ({"photo": "gone.jpg"}, "no such file"),
        ({"resolution": 4096}, "not from 8 to 256"),
        ({"identity": "facenet:x"}, "KIND:FILE"),
    ],
)
def test_what_cannot_be_reconstructed_is_refused(
    checkpoint: Path, photo: Path, tmp_path: Path, change: dict[str, object], why: str
) -> None:
    given = {"photo": photo, "out": "a.glb", "model": str(checkpoint), "landmarks": "student-68", "identity": None}
    given |= {"resolution": 24} | change
    with pytest.raises(UserError, match=why):
        photo_to_mesh(
            Path(str(given["photo"])),
            tmp_path / str(given["out"]),
            str(given["model"]),
            str(given["landmarks"]),
            "cascade",
            given["identity"],  # type: ignore[arg-type]
            1,
            int(str(given["resolution"])),
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["face.glb", "../face/face.ply"])
def test_the_photograph_is_not_replaced_by_its_turntable(checkpoint: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "face"
    folder.mkdir()
    cv2.imwrite(str(folder / "face.png"), cv2.cvtColor(photograph(), cv2.COLOR_RGB2BGR))
    before = (folder / "face.png").read_bytes()
    with pytest.raises(UserError, match="is the photograph itself"):
        photo_to_mesh(folder / "face.png", folder / name, str(checkpoint), "student-68", "cascade", None, 1, 16)
    assert (folder / "face.png").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["face.png"]


def test_a_folder_in_the_place_of_the_mesh_is_refused(checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "a.glb").mkdir()
    with pytest.raises(UserError, match="it is a folder"):
        photo_to_mesh(photo, tmp_path / "a.glb", str(checkpoint), "student-68", "cascade", None, 1, 16)
    assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]


def test_what_is_no_safetensors_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(UserError, match="no safetensors file"):
        load_face3d(str(tmp_path / "a"))
