"""The 3D model that ships: on heads that it never saw, on every engine, in INT8 on the NPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from npuface_export.compile import cpu_refusals
from npuface_export.renderer import RendererNetwork, export_renderer, extreme_poses, quantize_renderer
from npuface_export.target import target_by_name
from npuface_runtime.face_renderer import FaceRenderer
from npuface_toolkit.checkpoint import find_checkpoint
from npuface_toolkit.face3d.evaluate import on_heads
from npuface_toolkit.face3d.face3d_checkpoint import load_face3d
from npuface_toolkit.face3d.head_views import HeadViews, make_views, stacked
from npuface_toolkit.face3d.packed import PackedRenderer, field_record
from npuface_toolkit.face3d.pose import Pose, camera_to_world
from npuface_toolkit.face3d.rays import ray_inputs
from npuface_toolkit.face3d.reconstruct import FitConfig

MODEL = load_face3d("face3d-heads")


@pytest.fixture(scope="module")
def heads() -> HeadViews:
    return stacked(list(make_views(8, 2, 64, 77, 45, 20)))


@pytest.fixture(scope="module")
def codes(heads: HeadViews) -> tuple[Tensor, Tensor]:
    picture = torch.from_numpy(heads.rgb[:1, 0]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        zs, za, _ = MODEL.encoder(picture)
    return zs, za


def renderer(codes: tuple[Tensor, Tensor]) -> RendererNetwork:
    return RendererNetwork("head", PackedRenderer(MODEL.generator, codes), field_record(MODEL.generator, False))


def test_it_is_small() -> None:
    assert find_checkpoint("face3d-heads").stat().st_size < 8 << 20


def test_heads_that_it_never_saw_are_reconstructed(heads: HeadViews) -> None:
    found = on_heads(MODEL, heads, FitConfig(steps=10))
    assert found.depth_error < found.depth_spread / 2
    assert found.pose_error < found.pose_start + 0.5
    assert found.pose_error < 4
    assert max(found.extent_error) < 0.15
    assert found.watertight == 1


@pytest.mark.parametrize("target", ["onnxruntime-cpu", "openvino-cpu", "litert-cpu"])
def test_every_engine_renders_what_plain_torch_does(target: str, codes: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    """At the limits of yaw and pitch, where errors of the mask and of signs show."""
    export_renderer(renderer(codes), target_by_name(target), tmp_path / "b")
    with FaceRenderer(tmp_path / "b") as opened, torch.no_grad():
        for pose in extreme_poses(opened.manifest.renderer):
            rays = ray_inputs(camera_to_world([Pose(*pose)]), MODEL.generator.config.rays)
            wanted = MODEL.generator(*rays, *codes)[0].permute(1, 2, 0).numpy()
            assert np.abs(opened.render(*pose) / 255 - wanted).max() <= 0.5 / 255 + 1e-4


def test_it_runs_on_the_npu_in_8_bits(codes: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    export_renderer(renderer(codes), target_by_name("ethos-u55-256"), tmp_path / "b")
    manifest = quantize_renderer(tmp_path / "b")
    assert cpu_refusals(manifest) == []
    assert manifest.fidelity is not None
    assert manifest.fidelity["psnr_db"] > 41


def test_rounding_its_density_badly_would_be_noticed(codes: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    """Off the grid by half a step, the one channel of density fills the space with fog."""
    network = renderer(codes)
    module = network.module
    assert isinstance(module, PackedRenderer)
    weight = module.generator.field.to_density.weight
    step = weight.abs().max() / 127
    weight.data = torch.where(weight.abs() < weight.abs().max(), weight + 0.45 * step, weight)
    export_renderer(network, target_by_name("litert-cpu"), tmp_path / "b")
    manifest = quantize_renderer(tmp_path / "b")
    assert manifest.fidelity is not None
    assert manifest.fidelity["psnr_db"] < 40
