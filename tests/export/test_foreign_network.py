"""Models from elsewhere on the whole road: an ONNX file in, coordinates of an engine out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from foreign_models import kornia, maps_only, saved
from small_networks import BrightSpots
from torch import Tensor, nn

from npuface_export.choose import own_points
from npuface_export.decode.form import expected_cell
from npuface_export.export import export_bundle
from npuface_export.foreign.graph import graph_of
from npuface_export.foreign.hard_swish import with_hard_activations
from npuface_export.foreign.network import ForeignOptions, foreign_network
from npuface_export.foreign.read import read_foreign
from npuface_export.target import target_by_name
from npuface_runtime.bundle import open_bundle
from npuface_runtime.errors import UserError
from npuface_runtime.finish import finish_decode
from npuface_runtime.geometry import Crop
from npuface_runtime.manifest import Manifest
from npuface_runtime.preprocess import prepare

HEIGHT, WIDTH, BETA = 64, 96, 150.0
DATA = os.environ.get("NPUFACE_DATA")


class SpotsToPoints(nn.Module):
    """A network of today's exporter that ends in its own softargmax, in pixels of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.spots = BrightSpots()

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.spots(pictures)
        shares = torch.softmax((maps * BETA).flatten(2), dim=-1).reshape(maps.shape)
        points: Tensor = expected_cell(shares) * 4 + 1.5
        return points


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "theirs.onnx"
    entering = (torch.zeros(1, 3, HEIGHT, WIDTH),)
    torch.onnx.export(SpotsToPoints().eval(), entering, path, opset_version=18, external_data=False, verbose=False)
    return path


def test_an_engine_gives_the_points_that_the_model_gave(theirs: Path, tmp_path: Path, astronaut: np.ndarray) -> None:
    network = foreign_network(theirs, ForeignOptions(std=(60.0, 61.0, 62.0)))
    assert (network.input_shape, network.heatmap_shape, network.points) == ((64, 96), (16, 24), 5)
    assert (network.cell_scale, network.cell_offset) == (pytest.approx((4, 4)), pytest.approx((1.5, 1.5)))
    assert network.beta == pytest.approx(BETA)
    manifest = export_bundle(network, target_by_name("onnxruntime-cpu"), tmp_path / "bundle", form="per-map-maximum")
    assert manifest == Manifest.load(tmp_path / "bundle")
    assert manifest.origin is not None
    assert (manifest.origin["head"], manifest.origin["file"]) == ("soft-argmax", "theirs.onnx")
    assert manifest.origin["own_decode"] == "in the file"
    _, session = open_bundle(tmp_path / "bundle", 1)
    crop = Crop(220.0, 120.0, 130.0, 0.2)
    with session:
        entering = prepare(astronaut, crop, manifest)
        found, _ = finish_decode(manifest, session.run(entering))
    with torch.no_grad():
        expected = SpotsToPoints().eval()(torch.from_numpy(entering))[0].numpy()
    assert np.ptp(expected, axis=0).min() > 1, "the points differ from each other"
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_what_was_exported_once_is_refused_or_unchanged(theirs: Path, tmp_path: Path) -> None:
    """The published form is a head of the pattern soft-argmax: what comes out is what went in."""
    network, target = foreign_network(theirs, ForeignOptions()), target_by_name("onnxruntime-cpu")
    export_bundle(network, target, tmp_path / "seed", form="seed", budget=100)
    model = Manifest.load(tmp_path / "seed").file(tmp_path / "seed", "model")
    again = foreign_network(model, ForeignOptions())
    assert again.spec == network.spec
    assert again.origin is not None
    assert (again.origin["head"], again.origin["tensors"]) == ("soft-argmax", ["heatmaps"])
    picture = torch.randn(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again.module(picture), network.module(picture), atol=1e-5, rtol=1e-4)


def test_heatmaps_without_a_decode_have_no_reference_but_what_is_fitted(tmp_path: Path) -> None:
    network = foreign_network(saved(maps_only(16, 16, 13), tmp_path), ForeignOptions())
    assert network.own_points is None
    assert network.origin is not None
    assert network.origin["own_decode"] == "none"
    assert "reference" not in network.origin, "nothing is measured without pictures"
    assert (network.cell_scale, network.cell_offset) == ((4, 4), (1.5, 1.5))


def test_the_users_word_goes_before_what_the_head_says(tmp_path: Path) -> None:
    options = ForeignOptions(beta=33.0, grid="corner", name="ours", scheme="three")
    network = foreign_network(saved(kornia(9, 14, 13), tmp_path), options)
    assert (network.beta, network.name, network.scheme) == (33, "ours", "three")
    assert (network.cell_scale, network.cell_offset) == ((4, 4), (0, 0))


def test_offsets_are_named_channel_by_channel(tmp_path: Path) -> None:
    path = saved(maps_only(16, 16, 13), tmp_path)
    options = ForeignOptions("maps[0:1]", ("maps[2:3]", "maps[1:2]"), "cells:0.5")
    network = foreign_network(path, options)
    assert (network.kind, network.points) == ("heatmap-offset", 1)
    picture = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = foreign_network(path, ForeignOptions()).module(picture)
        found = network.module(picture)
        torch.testing.assert_close(found, torch.cat([maps[:, :1], maps[:, 2:] / 2, maps[:, 1:2] / 2], dim=1))
        own = own_points(network, found)
    best = int(maps[0, 0].argmax())
    assert own is not None
    expected = (best % 16 + float(maps[0, 2].flatten()[best]) / 2, best // 16 + float(maps[0, 1].flatten()[best]) / 2)
    assert own[0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("dynamo", [False, True])
def test_a_network_of_bgr_takes_rgb_with_its_channels_turned(tmp_path: Path, dynamo: bool) -> None:
    """Slices that are joined are taken from both exporters of torch."""

    class OfRgb(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spots = BrightSpots()

        def forward(self, pictures: Tensor) -> Tensor:
            maps: Tensor = self.spots(torch.cat([pictures[:, 2:], pictures[:, 1:2], pictures[:, :1]], 1))
            return maps

    picture = torch.randn(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    path, how = tmp_path / "bgr.onnx", {"external_data": False} if dynamo else {}
    torch.onnx.export(OfRgb().eval(), (picture,), path, opset_version=18, dynamo=dynamo, verbose=False, **how)
    with torch.no_grad():
        found = foreign_network(path, ForeignOptions()).module(picture)
        torch.testing.assert_close(found, BrightSpots().eval()(picture.flip(1)))


@pytest.mark.parametrize("code", ["logit:2", "garbage"])
def test_an_offset_code_without_offsets_is_refused(tmp_path: Path, code: str) -> None:
    with pytest.raises(UserError, match="no offsets are named, and it would be ignored"):
        foreign_network(saved(maps_only(16, 16, 13), tmp_path), ForeignOptions("maps", offset_code=code))


def test_hard_activations_written_out_become_one_operator(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]>
    net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) <float three = {3.0}, float zero = {0.0}, float six = {6.0}> {
        a = Add (x, three)  b = Clip (a, zero, six)  c = Div (b, six)  d = Mul (x, c)
        e = Add (three, d)  f = Clip (e, zero, six)  g = Div (f, six)  y = Mul (g, x)
    }"""
    graph = graph_of(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)))
    short = with_hard_activations(graph)
    assert short.operators == ["HardSwish", "HardSigmoid", "Mul"]
    assert with_hard_activations(short).operators == short.operators
    kept = graph.between(graph.inputs, ["y"])
    assert kept.operators == graph.operators


@pytest.mark.skipif(DATA is None, reason="NPUFACE_DATA names no folder of research data")
def test_openseeface_finds_faces_as_its_authors_decode_them() -> None:
    """On 40 WFLW faces: the network and its recognised decode against the published one, and their NME."""
    from npuface_runtime.geometry import box_of_points, crop_of_box
    from npuface_runtime.sampling import sample_crop
    from npuface_toolkit.faces import read_picture
    from npuface_toolkit.training_run import read_sources

    mean, std = ((255 * np.array(v)).tolist() for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    path = Path(str(DATA)) / "models/openseeface/lm_model0_opt.onnx"
    assert "FusedConv" in {node.op_type for node in onnx.load(path).graph.node}
    assert "FusedConv" not in read_foreign(path).graph.operators
    network = foreign_network(path, ForeignOptions(mean=tuple(mean), std=tuple(std), margin=1.25))
    assert (network.kind, network.points, network.heatmap_shape) == ("heatmap-offset", 66, (28, 28))
    assert network.own_points is not None
    faces, scheme = read_sources([f"wflw:{DATA}/wflw/list_68pt_rect_attr.txt:{DATA}/wflw/images"])
    session = onnxruntime_session(path)
    errors, apart = [], []
    for face in faces[::4]:
        crop = crop_of_box(box_of_points(face.points), network.margin)
        picture = (sample_crop(read_picture(face.picture), crop, network.input_shape) - mean) / std
        entering = picture.astype(np.float32).transpose(2, 0, 1)[None]
        published = as_published(session.run(None, {"input": entering})[0][0])
        with torch.no_grad():
            cells = network.own_points(network.module(torch.from_numpy(entering)))[0].numpy()
        pixels = cells * network.cell_scale + network.cell_offset
        apart.append(np.abs(pixels - published).mean())
        left, right = face.points[list(scheme.eye_corners)]
        distance = np.linalg.norm(crop.to_frame(pixels, network.input_shape)[17:48] - face.points[17:48], axis=1)
        errors.append(distance.mean() / np.linalg.norm(left - right))
    print(f"OpenSeeFace: NME of brows, nose and eyes {np.mean(errors):.2%}, {np.mean(apart):.3f} px from as published")
    assert np.mean(apart) < 0.03, "of 224"
    assert np.mean(errors) < 0.055


def onnxruntime_session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def as_published(output: np.ndarray) -> np.ndarray:
    """[198, 28, 28] -> points [66, 2] in input pixels, as OpenSeeFace's tracker.py computes them."""
    main, rows, columns = output.reshape(3, 66, -1).astype(np.float64)
    best = main.argmax(axis=1)
    p = np.clip(np.stack([rows, columns])[:, np.arange(66), best], 1e-7, 1 - 1e-7)
    off_rows, off_columns = 223 * np.log(p / (1 - p)) / 16
    return np.stack([223 * (best % 28) / 27 + off_columns, 223 * (best // 28) / 27 + off_rows], axis=1)
