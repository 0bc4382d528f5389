"""Training pictures: boxes lie on the faces after scaling, turning and mirroring; the same number, the same picture."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import write_squares

from npuface_toolkit.detector.boxes import read_boxes
from npuface_toolkit.detector.config import Augmentation
from npuface_toolkit.detector.network import DetectorConfig
from npuface_toolkit.detector.scenes import Scenes

SHAPE = DetectorConfig(128, 192)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_squares(tmp_path_factory.mktemp("squares"))


def test_boxes_lie_on_the_squares(source: str) -> None:
    how = Augmentation(sizes=(24, 60), camera=0, rotation=0)
    scenes = Scenes(read_boxes(source), SHAPE, how, 10, 0)
    checked = 0
    for number in range(40):
        pixels, boxes, sure = scenes.scene(np.random.default_rng(number))
        assert pixels.shape == (128, 192, 3)
        bright = pixels[..., 0] > 130
        for x0, y0, x1, y1 in boxes[sure]:
            if min(x0, y0) < 2 or x1 > 189 or y1 > 125:
                continue
            assert (
                bright[round(float(y0)) + 2 : round(float(y1)) - 1, round(float(x0)) + 2 : round(float(x1)) - 1].mean()
                > 0.97
            )
            checked += 1
    assert checked > 20


def test_every_pixel_is_a_picture_s(source: str) -> None:
    scenes = Scenes(read_boxes(source), SHAPE, Augmentation(sizes=(10, 20), camera=0), 10, 0)
    black = [(scenes.scene(np.random.default_rng(n))[0].max(axis=2) == 0).mean() for n in range(20)]
    assert max(black) < 0.02


def test_the_same_number_gives_the_same_picture_and_epochs_differ(source: str) -> None:
    scenes = Scenes(read_boxes(source), SHAPE, Augmentation(), 10, 0)
    first, again = scenes[3], scenes[3]
    np.testing.assert_array_equal(first[0].numpy(), again[0].numpy())
    scenes.epoch = 1
    assert not np.array_equal(first[0].numpy(), scenes[3][0].numpy())


def test_faces_that_are_too_small_are_not_sure(source: str) -> None:
    how = Augmentation(sizes=(5.0, 6.0), least=9.0)
    _, boxes, sure = Scenes(read_boxes(source), SHAPE, how, 10, 0).scene(np.random.default_rng(0))
    small = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) < 9
    assert small.any()
    assert not sure[small].any()
