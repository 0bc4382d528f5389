"""Samples: what is known of a face goes with it, and a large picture is kept only where the face may show it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from npuface_toolkit.augment import Augmentation, augmented_crop
from npuface_toolkit.camera_effects import CameraEffects
from npuface_toolkit.faces import Face, read_picture
from npuface_toolkit.samples import FaceSamples
from npuface_toolkit.schemes import IBUG_68

NONE = CameraEffects(0, 0, 0, 0, 0, 0, 0, 0)
STILL = Augmentation(rotation=0, scale=0, shift=0, flip=1, occlusion=0, camera=NONE)


def test_weights_follow_their_points_through_a_flip(faces: list[Face]) -> None:
    weights = np.linspace(0, 1, 68, dtype=np.float32)
    face = replace(faces[0], weights=weights)
    sample = FaceSamples([face], IBUG_68, 64, STILL, train=True, sigma=1.5)[0]
    np.testing.assert_array_equal(sample.weights, weights[list(IBUG_68.flip)])
    jaw, left_brow = sample.edge_weights[:2]
    assert jaw == weights[0]  # the least known of its points, 0 and 16 having changed places
    assert left_brow == weights[22]


def test_a_face_without_weights_is_known(faces: list[Face]) -> None:
    sample = FaceSamples(faces[:1], IBUG_68, 64, STILL, train=True, sigma=1.5)[0]
    assert sample.weights.min() == sample.edge_weights.min() == 1


@pytest.mark.parametrize("centre", [(300, 400), (60, 80)])
def test_what_is_kept_of_a_large_picture_holds_every_variation(tmp_path: Path, centre: tuple[int, int]) -> None:
    """The samples are those that the whole picture gives, in the middle of it and at its edge."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (700, 600, 3), np.uint8), (0, 0), 6)
    cv2.imwrite(str(tmp_path / "large.png"), picture)
    points = (rng.uniform(-1, 1, (68, 2)) * (40, 50) + centre).astype(np.float32)
    how = Augmentation(occlusion=0, camera=NONE)
    samples = FaceSamples([Face(tmp_path / "large.png", points, "large")], IBUG_68, 64, how, train=True, sigma=1.5)
    whole = read_picture(tmp_path / "large.png")
    assert samples._regions[0][0].nbytes < whole.nbytes / 2
    for epoch in range(20):
        samples.epoch = epoch
        sample = samples[0]
        cut, moved, _ = augmented_crop(whole, points, 64, IBUG_68, how, np.random.default_rng((0, epoch, 0)))
        apart = np.abs(sample.picture.numpy().astype(int) - cut)
        assert np.percentile(apart, 99) <= 3  # grey levels: it is shrunk from another corner, and to whole pixels
        np.testing.assert_allclose(sample.points.numpy(), (moved + 0.5) / 4 - 0.5, atol=1e-3)
