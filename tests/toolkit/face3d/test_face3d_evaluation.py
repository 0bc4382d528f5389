"""What evaluation measures, against figures that are known; and what training saw stays out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import SHAPE, small_model
from torch import Tensor, nn

import npuface_toolkit.face3d.evaluation as evaluation
from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.aligned_face import AlignedFace
from npuface_toolkit.face3d.evaluate import _of_head, different_people, on_heads
from npuface_toolkit.face3d.evaluation import evaluate_face3d
from npuface_toolkit.face3d.face3d_checkpoint import Face3d, save_face3d
from npuface_toolkit.face3d.head_views import HeadViews, make_views, save_views, stacked
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.face3d.pose import Pose, rotations
from npuface_toolkit.face3d.rays import ray_inputs
from npuface_toolkit.face3d.reconstruct import FitConfig, Reconstruction
from npuface_toolkit.face3d.sheets import as_picture
from npuface_toolkit.face3d.training_run import split_heads

MODEL = small_model()


@pytest.fixture(scope="module")
def heads() -> HeadViews:
    return stacked(list(make_views(6, 2, SHAPE.size, 1, 30, 10)))


@torch.no_grad()
def rendered(heads: HeadViews, zs: Tensor, za: Tensor) -> HeadViews:
    """The first head's pictures, depth and opacity replaced by what the model makes of codes at its poses."""
    head = heads.part(slice(1))
    made = MODEL.generator.render(
        ray_inputs(rotations(torch.from_numpy(head.poses[0])), SHAPE.rays),
        zs.expand(2, -1, 1, 1),
        za.expand(2, -1, 1, 1),
    )
    depth = made.depth + (1 - made.opacity) * SHAPE.rays.distance
    return replace(
        head,
        rgb=np.stack([as_picture(rgb) for rgb in made.rgb])[None],
        depth=depth[:, 0].numpy().astype(np.float16)[None],
        opacity=np.ones_like(head.opacity),
    )


def test_the_right_codes_have_no_error_and_others_do(heads: HeadViews) -> None:
    torch.manual_seed(0)
    zs, za = torch.randn(1, SHAPE.shape_codes, 1, 1), torch.randn(1, SHAPE.appearance_codes, 1, 1)
    head = rendered(heads, zs, za)
    pose = Pose(*head.poses[0, 0].tolist())
    aligned = AlignedFace(head.rgb[0, 0], pose, np.eye(2, 3), head.landmarks[0, 0])
    right = _of_head(MODEL, head, aligned, Reconstruction(zs, za, pose, head.rgb[0, 0], (0.0, 0.0)))
    assert right["depth_error"] < 2e-3, "float16 keeps no more"
    assert right["normal_error"] < 2
    assert right["pose_error"] == pytest.approx(0, abs=0.05)
    assert right["psnr"] == 99
    assert right["ssim"] == pytest.approx(1)
    turned = Pose(pose.yaw + 7, pose.pitch)
    wrong = _of_head(MODEL, head, aligned, Reconstruction(-3 * zs, -za, turned, head.rgb[0, 0], (0.0, 0.0)))
    assert wrong["depth_error"] > 5 * right["depth_error"]
    assert wrong["normal_error"] > right["normal_error"]
    assert wrong["pose_error"] == pytest.approx(7, abs=0.3)
    assert wrong["psnr"] < 40


def test_the_threshold_is_that_of_different_people() -> None:
    """Two pictures of one person are alike; only pairs of different people count."""

    class Colour(nn.Module):
        def forward(self, pictures: Tensor) -> Tensor:
            return nn.functional.normalize(pictures.mean((2, 3)))

    rgb = np.zeros((3, SHAPE.size, SHAPE.size, 3), np.uint8)
    rgb[:2, ..., 0], rgb[2, ..., :2] = 200, 200
    photos = Photos(rgb, np.zeros((3, 3), np.float32), ("a", "a", "b"))
    assert different_people(Colour(), photos, SHAPE.rays) == pytest.approx(0.5**0.5, abs=1e-3)


@pytest.fixture
def files(tmp_path: Path, heads: HeadViews) -> tuple[str, Path]:
    save_face3d(tmp_path / "m.safetensors", Face3d(MODEL.generator, MODEL.encoder, {}))
    save_views(tmp_path / "h.safetensors", heads)
    return str(tmp_path / "m.safetensors"), tmp_path / "h.safetensors"


def test_heads_that_training_saw_are_left_out(
    files: tuple[str, Path], heads: HeadViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[HeadViews] = []

    class EnoughError(Exception):
        pass

    def stop(model: Face3d, known: HeadViews, config: FitConfig | None = None) -> None:
        seen.append(known)
        raise EnoughError

    monkeypatch.setattr(evaluation, "on_heads", stop)
    for held_out, most in ((0.3, 100), (None, 2)):
        with pytest.raises(EnoughError):
            evaluate_face3d(files[0], files[1], [], held_out, most, None, False, None)
    np.testing.assert_array_equal(seen[0].shapes, split_heads(heads, 0.3)[1].shapes)
    np.testing.assert_array_equal(seen[1].shapes, heads.shapes[[0, 5]])


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"held_out": 1.5}, "share"),
        ({"identity": "mobilefacenet:x"}, "missing"),
        ({"sources": ["points:x.csv"]}, "missing"),
        ({"sheet": Path("a.png")}, "none are given"),
        ({"heads": None}, "neither heads nor faces"),
        ({"int8": "ethos-u55-256"}, "none are given"),
        ({"int8": "ethos-u54", "sources": ["points:x.csv"], "identity": "mobilefacenet:x"}, "ethos-u54"),
        ({"int8": "apple-ane", "sources": ["points:x.csv"], "identity": "mobilefacenet:x"}, "INT8"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(files: tuple[str, Path], given: dict[str, object], why: str) -> None:
    plain = {"model": files[0], "heads": files[1], "sources": [], "held_out": None, "most": 1, "identity": None}
    with pytest.raises(UserError, match=why):
        evaluate_face3d(**(plain | {"fit_identity": False, "sheet": None} | given))  # type: ignore[arg-type]


def test_heads_of_another_size_are_refused() -> None:
    with pytest.raises(UserError, match="drawn with 16 pixels"):
        on_heads(MODEL, stacked(list(make_views(1, 2, 16, 1, 30, 10))))
