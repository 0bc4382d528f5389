"""A renderer on its way to a device: host half, export, INT8, placement, refusals."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import SHAPE, small_codes, small_model
from torch import Tensor, nn
from torch.nn import functional

from npuface_export.compile import cpu_refusals
from npuface_export.renderer import (
    RendererNetwork,
    drawn_codes,
    export_renderer,
    extreme_poses,
    quantize_renderer,
)
from npuface_export.target import target_by_name, targets
from npuface_runtime import Landmarker
from npuface_runtime.errors import EngineError, UserError
from npuface_runtime.face_renderer import FaceRenderer, pixels, run_renderer
from npuface_runtime.ray_encoding import BLOCK, CODE_RANGE, network_input
from npuface_runtime.renderer_manifest import RendererManifest
from npuface_toolkit.face3d.light_field import LightField, LightFieldConfig
from npuface_toolkit.face3d.packed import PackedRenderer, field_record
from npuface_toolkit.face3d.pose import Pose, camera_to_world
from npuface_toolkit.face3d.rays import ray_inputs
from npuface_toolkit.face3d.renderer_bench import bench_renderers
from npuface_toolkit.face3d.turn import render_turn, yaws_of

ENGINES = ("onnxruntime-cpu", "openvino-cpu", "litert-cpu")
GENERATOR = small_model().generator


def baked() -> RendererNetwork:
    return RendererNetwork("small", PackedRenderer(GENERATOR, small_codes()), field_record(GENERATOR, False))


@torch.no_grad()
def plain(pose: tuple[float, float, float], given: tuple[Tensor, Tensor]) -> np.ndarray:  # type: ignore[type-arg]
    """The plain torch renderer: encodings and volume rendering in torch."""
    rgb: Tensor = GENERATOR(*ray_inputs(camera_to_world([Pose(*pose)]), SHAPE.rays), *given)
    return rgb[0].permute(1, 2, 0).numpy()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("renderer") / "bundle"
    export_renderer(baked(), target_by_name("onnxruntime-cpu"), out)
    return out


@pytest.mark.parametrize("target", ENGINES)
def test_every_engine_renders_what_torch_does(target: str, tmp_path: Path) -> None:
    manifest = export_renderer(baked(), target_by_name(target), tmp_path / "b")
    assert manifest.parity is not None
    assert manifest.parity["max_abs"] <= 1e-4
    with FaceRenderer(tmp_path / "b") as renderer:
        for pose in ((45.0, 20.0, 0.0), (-45.0, -20.0, 10.0)):
            made = renderer.render(*pose).astype(np.float64) / 255
            assert np.abs(made - plain(pose, small_codes())).max() <= 0.5 / 255 + 1e-4


def test_the_head_can_enter_with_every_picture(tmp_path: Path) -> None:
    network = RendererNetwork("small", PackedRenderer(GENERATOR, None), field_record(GENERATOR, True))
    export_renderer(network, target_by_name("onnxruntime-cpu"), tmp_path / "b")
    zs, za = (code.clamp(-CODE_RANGE, CODE_RANGE) for code in small_codes(5))
    vectors = (zs.flatten().numpy(), za.flatten().numpy())
    with FaceRenderer(tmp_path / "b") as renderer:
        made = renderer.render(20, codes=vectors).astype(np.float64) / 255
        assert np.abs(made - plain((20, 0, 0), (zs, za))).max() <= 0.5 / 255 + 1e-4
        with pytest.raises(UserError, match="4 of shape and 40 of appearance"):
            renderer.render(0)
        with pytest.raises(UserError, match="not all finite"):
            renderer.render(0, codes=(vectors[0] * np.nan, vectors[1]))
        with pytest.raises(UserError, match=r"one is 4\.1 in size, the network takes -4 to 4"):
            renderer.render(0, codes=(vectors[0], np.full_like(vectors[1], -4.1)))


@pytest.mark.parametrize("block", sorted({target.channel_block for target in targets().values()}))
@pytest.mark.parametrize("takes_codes", [False, True])
def test_every_layout_renders_the_same(block: int, takes_codes: bool) -> None:
    assert BLOCK % block == 0
    pose, (zs, za) = (30.0, -10.0, 0.0), small_codes(5)
    packed = PackedRenderer(GENERATOR, None if takes_codes else (zs, za), block)
    entered = network_input(packed.record, pose, (zs.flatten().numpy(), za.flatten().numpy()) if takes_codes else None)
    with torch.no_grad():
        made = pixels(packed(torch.from_numpy(entered)).permute(0, 2, 3, 1).numpy())
    assert np.abs(made - plain(pose, (zs, za))).max() <= 1e-5


def test_the_box_mask_matters_at_the_edge() -> None:
    """Without it, what lies outside the box shows: the comparison at extreme poses would notice."""
    record = field_record(GENERATOR, False)
    entered = network_input(record, (45.0, 20.0, 0.0))
    unmasked = entered.copy()
    unmasked[0, 6 * record.point_frequencies, : record.samples] = 1
    with torch.no_grad():
        one, other = (baked().module(torch.from_numpy(x)) for x in (entered, unmasked))
    assert float((one - other).abs().max()) > 1e-3


def test_a_wrong_network_is_noticed(tmp_path: Path) -> None:
    """The parity is asserted against the module that is exported: one that adds noise cannot pass."""

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = baked().module
            self.calls = 0

        def forward(self, entered: Tensor) -> Tensor:
            self.calls += 1
            picture: Tensor = self.inner(entered)
            return picture + 1e-3 * (self.calls > 3)

    with pytest.raises(UserError, match="differs by 1"):
        export_renderer(replace(baked(), module=Noisy()), target_by_name("onnxruntime-cpu"), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_nothing_is_said_of_what_a_gpu_runs_where(tmp_path: Path) -> None:
    """A CPU stands in for it here, which tells neither what runs where nor how long it takes."""
    assert export_renderer(baked(), target_by_name("openvino-gpu"), tmp_path / "b").placement is None
    assert quantize_renderer(tmp_path / "b").placement is None
    with pytest.raises(UserError, match="cannot time renderers for openvino-gpu") as refused:
        bench_renderers("none", tmp_path, None, "openvino-gpu", 1)
    assert "stands in for it" in refused.value.why


@pytest.mark.parametrize("target", ["ethos-u55-256", "ethos-u85-256"])
def test_all_of_it_runs_on_the_npu(target: str, tmp_path: Path) -> None:
    export_renderer(baked(), target_by_name(target), tmp_path / "b")
    manifest = quantize_renderer(tmp_path / "b")
    assert cpu_refusals(manifest) == []
    assert manifest.placement is not None
    assert manifest.placement["npu"] > 30
    assert manifest.estimate is not None
    assert manifest.fidelity is not None
    assert manifest.fidelity["min_psnr_db"] > 40
    with FaceRenderer(tmp_path / "b") as renderer:
        assert np.abs(renderer.render(30) / 255 - plain((30, 0, 0), small_codes())).mean() < 0.02


def test_an_operator_that_the_npu_lacks_is_reported(tmp_path: Path) -> None:
    """Bilinear enlargement by four, which the renderer avoids: Ethos-U leaves it to the CPU."""

    class Bilinear(nn.Module):
        def forward(self, entered: Tensor) -> Tensor:
            small = entered[:, :48, :4, :4].sigmoid()
            return functional.interpolate(small, scale_factor=4.0, mode="bilinear", align_corners=False)

    record = replace(field_record(GENERATOR, False), samples=8, size=64)
    export_renderer(RendererNetwork("b", Bilinear(), record), target_by_name("ethos-u55-256"), tmp_path / "b")
    manifest = quantize_renderer(tmp_path / "b")
    (refusal,) = cpu_refusals(manifest)
    assert "RESIZE_BILINEAR on the CPU" in refusal
    assert cpu_refusals(manifest, ["RESIZE_BILINEAR"]) == []


@pytest.mark.parametrize("takes_codes", [False, True])
@pytest.mark.parametrize("block", [1, BLOCK])
def test_an_input_written_over_is_that_of_the_new_pose(takes_codes: bool, block: int) -> None:
    record, random = field_record(GENERATOR, takes_codes, block), np.random.default_rng(0)
    buffer = None
    for pose in extreme_poses(record):
        drawn = drawn_codes(record, random)
        buffer = network_input(record, pose, drawn, buffer)
        np.testing.assert_array_equal(buffer, network_input(record, pose, drawn))
        assert record.input_shape[1] % BLOCK == 0
        assert np.abs(buffer).max() <= 1 + 1e-5


def test_poses_at_the_limits_are_compared() -> None:
    poses = extreme_poses(field_record(GENERATOR, False))
    assert {abs(yaw) for yaw, _, _ in poses} >= {0, 45}
    assert {abs(pitch) for _, pitch, _ in poses} >= {0, 20}
    assert {roll for _, _, roll in poses} == {-30, 0, 30}
    light = LightField(LightFieldConfig(SHAPE.rays, 8, 1, 8)).record()
    assert light.max_roll == 0, "a light field is taught upright poses alone"
    assert {roll for _, _, roll in extreme_poses(light)} == {0}


@pytest.mark.parametrize(
    ("pose", "why"),
    [((46.0, 0.0), "-45 to 45"), ((0.0, -21.0), "-20 to 20"), ((float("nan"), 0.0), "no finite number")],
)
def test_a_pose_out_of_range_is_refused(bundle: Path, pose: tuple[float, float], why: str) -> None:
    with FaceRenderer(bundle) as renderer, pytest.raises(UserError, match=why):
        renderer.render(*pose)


def test_codes_for_a_baked_head_are_refused(bundle: Path) -> None:
    with FaceRenderer(bundle) as renderer, pytest.raises(UserError, match="baked"):
        renderer.render(0, codes=(np.zeros(4, np.float32), np.zeros(40, np.float32)))


def test_a_bundle_of_another_kind_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a renderer of faces"):
        Landmarker(bundle)
    (tmp_path / "manifest.json").write_text('{"format": "npuface-bundle", "version": 1}')
    with pytest.raises(UserError, match="a landmark network"):
        FaceRenderer(tmp_path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "mesh"}, "kind 'mesh'"),
        ({"grid": 1 << 20}, "grid"),
        ({"samples": 0}, "samples"),
        ({"appearance_codes": 3}, "without the other"),
        ({"distance": 0.5}, "camera"),
        ({"distance": 1e300}, "camera"),
        ({"max_yaw": 400.0}, "limits"),
        ({"size": 16}, "shape"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(bundle: Path, change: dict[str, object], why: str) -> None:
    raw = RendererManifest.load(bundle).as_json()
    raw["renderer"] = raw["renderer"] | change
    with pytest.raises(UserError, match=why):
        RendererManifest.from_json(raw)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"parity": {"x": 1.0}}, "parity has no max_abs"),
        ({"fidelity": {"psnr_db": 40.0}}, "fidelity has no min_psnr_db"),
        ({"fidelity": {"psnr_db": "much"}}, "not of type float"),
    ],
)
def test_figures_that_are_missing_are_said(bundle: Path, change: dict[str, object], why: str) -> None:
    with pytest.raises(UserError, match=why):
        RendererManifest.from_json(RendererManifest.load(bundle).as_json() | change)


def test_an_int8_bundle_without_its_float_model_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "b"
    shutil.copytree(bundle, copy)
    raw = RendererManifest.load(copy).as_json() | {"precision": "int8"}
    (copy / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match="no 'float' file"):
        quantize_renderer(copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_colours_that_are_not_finite_are_refused(bundle: Path) -> None:
    """Python's max() and a clip would let them pass as a parity of zero."""

    class Broken:
        def run(self, entered: np.ndarray) -> tuple[np.ndarray]:  # type: ignore[type-arg]
            return (np.full((1, 48, SHAPE.size // 4, SHAPE.size // 4), np.nan, np.float32),)

    manifest = RendererManifest.load(bundle)
    with pytest.raises(EngineError, match="not finite"):
        run_renderer(manifest, Broken(), network_input(manifest.renderer, (0, 0, 0)))  # type: ignore[arg-type]


def test_an_npu_is_not_timed_on_the_host() -> None:
    with pytest.raises(UserError, match="it is no CPU"):
        bench_renderers("gone", Path("gone"), None, "ethos-u55-256", 1)


def test_a_turn_is_rendered(bundle: Path, tmp_path: Path) -> None:
    done = render_turn(bundle, tmp_path / "turn.png", "-30..30", 0.0, 5, 0, 1)
    assert done["frames"] == 5
    assert done["median_ms"] > 0
    import cv2

    assert cv2.imread(str(tmp_path / "turn.png")).shape == (32, 160, 3)
    render_turn(bundle, tmp_path / "turn.mp4", "-30..30", 0.0, 5, 0, 1)
    assert int(cv2.VideoCapture(str(tmp_path / "turn.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)) == 8


@pytest.mark.parametrize(
    ("out", "yaw", "why"),
    [
        ("a.gif", "0", "does not end in"),
        ("gone/a.png", "0", "no folder"),
        ("a.png", "left", "no range"),
        ("a.png", "0..", "no range"),
        ("a.png", "..5", "no range"),
        ("a.png", "-80..80", "-45 to 45"),
    ],
)
def test_a_turn_that_cannot_be_is_refused(bundle: Path, tmp_path: Path, out: str, yaw: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        render_turn(bundle, tmp_path / out, yaw, 0.0, 3, 0, 1)
    assert list(tmp_path.iterdir()) == []
    assert yaws_of("20", 9) == [20.0]
