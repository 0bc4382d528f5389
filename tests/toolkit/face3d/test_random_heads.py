"""Kernel distances of pictures: the estimator against its definition, features that see what they should."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.face3d_checkpoint import new_face3d
from npuface_toolkit.face3d.generator import GeneratorConfig
from npuface_toolkit.face3d.kernel_distance import kernel_distance, low_level_features, standardised
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.face3d.random_heads import random_heads
from npuface_toolkit.face3d.rays import RayConfig

RANDOM = np.random.default_rng(0)


def noise(count: int, side: int = 32) -> np.ndarray:
    """Smooth coloured pictures."""
    small = RANDOM.integers(0, 256, (count, side // 4, side // 4, 3), np.uint8)
    return np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_LINEAR) for one in small])


def test_the_estimator_is_the_published_one() -> None:
    one, other = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=(4, 3))

    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        pairs = [(x, y) for i, x in enumerate(a) for j, y in enumerate(b) if not (same and i == j)]
        return float(np.mean([(x @ y / 3 + 1) ** 3 for x, y in pairs]))

    wanted = mean(one, one, True) + mean(other, other, True) - 2 * mean(one, other, False)
    assert kernel_distance(one, other) == pytest.approx(wanted, rel=1e-12)


def test_sets_of_one_kind_are_at_no_distance_and_it_is_without_bias() -> None:
    found = [kernel_distance(RANDOM.normal(size=(20, 8)), RANDOM.normal(size=(20, 8))) for _ in range(200)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert min(found) < 0 < max(found)
    assert kernel_distance(RANDOM.normal(size=(50, 8)), RANDOM.normal(1, 1, (50, 8))) > 10 * np.std(found)


def test_one_picture_is_no_set() -> None:
    with pytest.raises(ValueError, match="sets of 1 and 3"):
        kernel_distance(np.zeros((1, 2)), np.zeros((3, 2)))


def test_the_spectrum_is_that_of_opencv() -> None:
    picture = noise(1, 16)[0]
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)[..., 0].astype(np.float32) - 128
    blocks = [cv2.dct(np.ascontiguousarray(luma[y : y + 8, x : x + 8])) for y in (0, 8) for x in (0, 8)]
    wanted = np.log1p(np.abs(np.stack(blocks)).mean(0))
    np.testing.assert_allclose(low_level_features(picture[None])[0][:192].reshape(8, 8, 3)[..., 0], wanted, atol=1e-4)


@pytest.mark.parametrize("change", ["blur", "colour", "grid"])
def test_what_a_renderer_does_wrong_is_seen(change: str) -> None:
    real, others = noise(60), noise(60)
    if change == "blur":
        wrong = np.stack([cv2.GaussianBlur(one, (0, 0), 2) for one in others])
    elif change == "colour":
        wrong = (others * np.array([1.0, 0.8, 0.7])).astype(np.uint8)
    else:
        wrong = others.copy()
        wrong[:, ::4] = np.minimum(wrong[:, ::4].astype(int) + 12, 255)
    known, same, changed = standardised(low_level_features(real), *map(low_level_features, (real, others, wrong)))
    assert kernel_distance(known, changed) > 20 * abs(kernel_distance(known, same))


class _Mean(nn.Module):
    """Stands in for an identity network: the mean colours of a picture's quarters."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


def photographs(people: str) -> Photos:
    """One smooth picture of each letter."""
    return Photos(noise(len(people)), np.zeros((len(people), 3), np.float32), tuple(people))


def test_an_untrained_model_is_far_from_photographs_and_they_are_not_from_each_other() -> None:
    torch.manual_seed(0)
    model = new_face3d(GeneratorConfig(RayConfig(grid=8, samples=4), width=8, shape_codes=4, appearance_codes=4))
    found = random_heads(model, photographs("abcdefghijklmnopqrstuvwxyz"), _Mean())
    assert found.photos == 26
    assert found.identity > 5 * abs(found.identity_floor)
    assert found.low_level > 5 * abs(found.low_level_floor)
    assert random_heads(model, photographs("abcd" * 3), _Mean(), seed=1).photos == 12


def test_too_few_people_are_refused() -> None:
    model = new_face3d(GeneratorConfig(RayConfig(grid=8, samples=4), width=8, shape_codes=4, appearance_codes=4))
    with pytest.raises(UserError, match="too few people"):
        random_heads(model, photographs("aabbcc"), _Mean())
