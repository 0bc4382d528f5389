"""Peers: their decoders against plain loops, their crops, and what is refused. Small real ONNX networks."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from peer_networks import constant_network

from npuface_runtime.errors import UserError
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import read_picture
from npuface_toolkit.metrics import face_errors
from npuface_toolkit.peer_decoders import DECODERS
from npuface_toolkit.peers import Peer

ROUND = """
name = "four corners"
model = "net.onnx"
decoder = "coordinates"
scheme = "ibug-68"
theirs = "0-3"
ours = "0, 8, 16, 27"
"""


def _peer(folder: Path, text: str = ROUND, output: NDArray[np.float32] | None = None) -> Path:
    corners = np.array([0, 0, 1, 0, 0, 1, 0.5, 0.5], np.float32)
    constant_network(folder / "net.onnx", corners if output is None else output)
    (folder / "peer.toml").write_text(text)
    return folder / "peer.toml"


def test_heatmaps_are_decoded_as_published() -> None:
    maps = np.random.default_rng(0).uniform(0, 1, (5, 8, 12)).astype(np.float32)
    maps[0, 0, 11], maps[1, 7, 0] = 2, 2  # in the corners, where a neighbour is missing
    found = DECODERS["heatmaps"]([maps], (32, 48))
    for one, (x, y) in zip(maps, found, strict=True):
        row, column = (int(i) for i in np.unravel_index(one.argmax(), one.shape))
        left, right = (one[row, min(11, max(0, column + step))] for step in (-1, 1))
        above, below = (one[min(7, max(0, row + step)), column] for step in (-1, 1))
        assert x == pytest.approx((column + 0.25 * np.sign(right - left) + 0.5) * 4 - 0.5)
        assert y == pytest.approx((row + 0.25 * np.sign(below - above) + 0.5) * 4 - 0.5)


def test_logit_offsets_are_decoded_as_openseeface_does() -> None:
    maps = np.random.default_rng(1).uniform(0.01, 0.99, (9, 28, 28)).astype(np.float32)
    found = DECODERS["logit-offsets"]([maps], (224, 224))
    for k in range(3):
        highest = int(maps[k].argmax())
        down, across = (maps[k + 3 * part].ravel()[highest] for part in (1, 2))
        y = 223 * math.floor(highest / 28) / 27 + 223 * math.log(down / (1 - down)) / 16
        x = 223 * math.floor(highest % 28) / 27 + 223 * math.log(across / (1 - across)) / 16
        np.testing.assert_allclose(found[k], (x, y), rtol=1e-4)


@pytest.mark.parametrize(("more", "side"), [("", (0, 0)), ("grow = [0.1, 0.2]", (4, 4)), ("square = true", (0, 10))])
def test_the_crop_is_the_box_and_what_it_says(tmp_path: Path, more: str, side: tuple[int, int]) -> None:
    """The corners of its input are those of the crop: box 40 x 20, grown as the description says."""
    peer = Peer(_peer(tmp_path, ROUND + more))
    picture = np.zeros((100, 100, 3), np.uint8)
    found = peer.points(picture, np.array([30, 40, 70, 60], np.float32))
    (x0, y0), (x1, y1) = (30 - side[0], 40 - side[1]), (70 + side[0], 60 + side[1])
    np.testing.assert_allclose(found, [(x0, y0), (x1, y0), (x0, y1), (50, 50)], atol=1e-4)


def test_the_map_sends_the_crop_to_the_input(tmp_path: Path) -> None:
    """A bright dot in the picture is where the map says in the input, and the rest is the mean."""
    peer = Peer(_peer(tmp_path, ROUND + "mean = [10, 20, 30]\nstd = [2, 4, 8]\n"))
    picture = np.zeros((100, 100, 3), np.uint8) + np.array([10, 20, 30], np.uint8)
    picture[48:51, 55:58] = 250
    entering, matrix = peer.prepare(picture, np.array([30, 40, 70, 60], np.float32))
    ys, xs = np.nonzero(entering[0, 0] > entering[0, 0].max() / 2)
    np.testing.assert_allclose((xs.mean(), ys.mean()), matrix[:, :2] @ (56, 49) + matrix[:, 2], atol=0.6)
    np.testing.assert_allclose(entering[0, :, 16, 40], 0, atol=1e-6)
    np.testing.assert_allclose(entering[0, :, ys[0] + 1, xs[0] + 1], (240 / 2, 230 / 4, 220 / 8))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("coordinates", "magic"), "decoder 'magic' is none of heatmaps"),
        (('"0-3"', '"0-2"'), "theirs are 3 points, ours 4"),
        (("16, 27", "16, 68"), "ours 4 up to number 68"),
        (('"0-3"', '"1-4"'), "gives 4 points, and theirs asks for point 4"),
        (('"0-3"', '"zero"'), "'zero' is no point and no range"),
        (("net.onnx", "none.onnx"), "there is no file"),
        (("net.onnx", "peer.toml"), "ONNX Runtime cannot open it"),
        (("ibug-68", "ibug-69"), "known schemes are"),
        (('name = "four corners"', "names = 1"), "names"),
        (("coordinates", "heatmaps"), "cannot decode it"),
        (('decoder = "coordinates"', 'decoder = "coordinates"\nstd = [1, 0, 1]'), "std above 0"),
        (('decoder = "coordinates"', 'decoder = "coordinates"\nstd = ["a", 1, 1]'), "a number no number"),
        (('"0, 8, 16, 27"', "3"), "a text is no text"),
        (('"0-3"', '"3-0"'), "ends before it begins"),
        (('"net.onnx"', "3"), "a text is no text"),
        (("name =", "name"), "Expected"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, change: tuple[str, str], why: str) -> None:
    file = _peer(tmp_path, ROUND.replace(*change))
    with pytest.raises(UserError) as refused:
        Peer(file).points(np.zeros((50, 50, 3), np.uint8), np.array([10, 10, 30, 30], np.float32))
    assert re.search(re.escape(why), refused.value.why), refused.value.why


def test_a_coordinate_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    corners = np.array([0, 0, 1, 0, 0, np.nan, 0.5, 0.5], np.float32)
    with pytest.raises(UserError, match="not finite"):
        Peer(_peer(tmp_path, output=corners)).points(np.zeros((50, 50, 3), np.uint8), np.array([10, 10, 30, 30]))


def test_an_input_of_free_size_is_refused(tmp_path: Path) -> None:
    file = _peer(tmp_path)
    model = onnx.load(tmp_path / "net.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(UserError, match="of fixed size"):
        Peer(file)


def test_openseeface_is_as_good_as_it_is_known_to_be(data: Path, tmp_path: Path) -> None:
    """The description in docs/accuracy.md, on real faces: its points are where they should be, each of them."""
    page = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text()
    text = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert text
    model = data / "models" / "openseeface" / "lm_model0_opt.onnx"
    (tmp_path / "openseeface.toml").write_text(text[1].replace("lm_model0_opt.onnx", str(model)))
    peer = Peer(tmp_path / "openseeface.toml")
    faces, scheme = read_faces(f"wflw:{data}/wflw/list_68pt_rect_attr.txt")
    faces = faces[::4]
    truth = np.stack([face.points for face in faces])
    found = truth.copy()
    for points, face in zip(found, faces, strict=True):
        box = np.concatenate([face.points.min(axis=0), face.points.max(axis=0)])
        points[list(peer.ours)] = peer.points(read_picture(face.picture), box)
    inner = tuple(point for point in peer.ours if point not in scheme.jaw)
    assert face_errors(found, truth, scheme, inner).mean() < 0.053
    each = np.linalg.norm(found - truth, axis=2) / np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)[:, None]
    assert np.median(each, axis=0)[list(inner)].max() < 0.08  # a point mapped onto its neighbour would stand out
