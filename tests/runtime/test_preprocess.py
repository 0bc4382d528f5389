"""Cutting and normalising, against OpenCV (what the networks are trained on) and against plain formulas."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.geometry import Crop
from npuface_runtime.manifest import Manifest, Preprocess, TensorInfo
from npuface_runtime.preprocess import normalise, prepare
from npuface_runtime.sampling import sample_crop
from npuface_toolkit.augment import warp

SIZE = 64
MEAN, STD = (120.0, 110.0, 100.0), (60.0, 59.0, 58.0)


@pytest.fixture
def manifest(onnx_bundle: Any) -> Manifest:
    return replace(Manifest.load(onnx_bundle), preprocess=Preprocess(MEAN, STD, 1.3))


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.5])
@pytest.mark.parametrize("side", [90.0, 256.0, 420.5])
@pytest.mark.parametrize("centre", [(222.3, 118.7), (20.0, 490.0)])
def test_it_sees_what_training_saw(
    astronaut: NDArray[np.uint8], side: float, angle: float, centre: tuple[float, float]
) -> None:
    """Both bilinear. OpenCV rounds to whole grey levels and places pixels to 1/32: half a level and a few at edges."""
    crop = Crop(*centre, side, angle)
    difference = np.abs(sample_crop(astronaut, crop, (256, 256)) - warp(astronaut, crop, 256))
    assert difference.mean() < 0.5
    assert difference.max() < 8


@pytest.mark.parametrize(("side", "size"), [(200, 64), (300, 64), (480, 64), (512, 112)])
def test_it_shrinks_as_training_did(astronaut: NDArray[np.uint8], side: float, size: int) -> None:
    """Whole blocks of pixels here, exact areas there: 2.4 to 4.7 levels apart on average, and 5 to 12 if aliased."""
    crop = Crop(230.0, 240.0, side)
    trained_on = warp(astronaut, crop, size).astype(np.float32)
    aliased = cv2.warpAffine(astronaut, crop.matrix((size, size)), (size, size), flags=cv2.INTER_LINEAR)
    ours = np.abs(sample_crop(astronaut, crop, (size, size)) - trained_on).mean()
    assert ours < 5
    assert ours < 0.6 * np.abs(aliased - trained_on).mean(), "averaging must beat bilinear sampling alone"


@pytest.mark.parametrize("angle", [0.0, 0.7])
@pytest.mark.parametrize("side", [50.0, 64.0, 150.0, 333.0, 900.0])
def test_a_plane_stays_the_same_plane(side: float, angle: float) -> None:
    """A linear ramp is its own interpolation and its own mean, so positions are exact wherever the crop lies inside."""
    steps = (np.arange(1500) // 6).astype(np.uint8)
    frame = np.empty((1500, 1500, 3), np.uint8)
    frame[:, :, 0], frame[:, :, 1], frame[:, :, 2] = steps[None, :], steps[:, None], 9
    crop = Crop(740.0, 760.0, side, angle)
    got = sample_crop(frame, crop, (SIZE, SIZE))
    along = np.arange(SIZE, dtype=np.float64)
    grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    expected = (crop.to_frame(grid, (SIZE, SIZE)).reshape(SIZE, SIZE, 2) - 2.5) / 6
    assert np.abs(got[:, :, :2] - expected).max() < 0.5 + 1e-3, "steps of 6 pixels lie within half a level of the ramp"
    assert abs((got[:, :, :2] - expected).mean()) < 0.05
    np.testing.assert_allclose(got[:, :, 2], 9, atol=1e-3)


@pytest.mark.parametrize("angle", [0.0, 0.9])
@pytest.mark.parametrize("shape", [(48, 96), (112, 64), (65, 80)])
def test_an_input_that_is_not_square_shows_more_along_its_longer_side(
    astronaut: NDArray[np.uint8], shape: tuple[int, int], angle: float
) -> None:
    """Its middle square is what a square input of its shorter side sees."""
    crop = Crop(220.3, 120.7, 90.0, angle)
    side = min(shape)
    cut, square = sample_crop(astronaut, crop, shape), sample_crop(astronaut, crop, (side, side))
    assert cut.shape == (*shape, 3)
    left, top = ((n - side) // 2 for n in (shape[1], shape[0]))
    if (shape[0] - side) % 2 == (shape[1] - side) % 2 == 0:
        middle = cut[top : top + side, left : left + side]
        np.testing.assert_allclose(middle, square, atol=0.1)
    grid = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1).reshape(-1, 2)
    seen = np.rint(crop.to_frame(grid, shape)).astype(int).clip(0, 511)
    nearest = astronaut[seen[:, 1], seen[:, 0]].reshape(*shape, 3)
    assert np.abs(cut - nearest).mean() < 12, "the pixels lie where to_frame says; turned or mirrored it is over 40"


def test_a_crop_of_the_frame_itself_is_the_frame() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(sample_crop(frame, Crop(31.5, 31.5, SIZE), (SIZE, SIZE)), frame)


@pytest.mark.parametrize("side", [10.0, 64.0, 500.0])
@pytest.mark.parametrize("angle", [0.0, 1.0])
def test_outside_the_frame_is_black(side: float, angle: float) -> None:
    frame = np.full((40, 50, 3), 200, np.uint8)
    assert not sample_crop(frame, Crop(-2000.0, 3000.0, side, angle), (SIZE, SIZE)).any()
    half_out = sample_crop(frame, Crop(-0.5, 20.0, 30.0), (30, 30))
    assert (half_out[:, 16:] == 200).all()
    assert not half_out[:, :14].any()


@pytest.mark.parametrize("angle", [0.0, 0.3, -2.0])
@pytest.mark.parametrize("side", [20.0, 90.5, 333.0, 640.0])
@pytest.mark.parametrize("centre", [(-40.0, 12.25), (20.5, 15.0), (90.0, -250.75), (-310.0, 320.0)])
def test_a_crop_that_reaches_far_out_is_that_of_a_frame_with_a_wide_black_border(
    centre: tuple[float, float], side: float, angle: float
) -> None:
    """To the bit, though hardly anything of that border is kept in memory."""
    frame, border = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8), 1000
    whole = np.pad(frame, ((border, border), (border, border), (0, 0)))
    far_out = sample_crop(frame, Crop(*centre, side, angle), (48, 40))
    inside = sample_crop(whole, Crop(centre[0] + border, centre[1] + border, side, angle), (48, 40))
    np.testing.assert_array_equal(far_out, inside)


@pytest.mark.parametrize("angle", [0.0, 0.3])
@pytest.mark.parametrize(("shape", "side"), [((540, 960), 15000.0), ((1, 20000), 300000.0), ((20000, 1), 20000.0)])
def test_a_crop_takes_no_more_memory_than_its_frame_is_worth(shape: tuple[int, int], side: float, angle: float) -> None:
    frame = np.full((*shape, 3), 255, np.uint8)
    tracemalloc.start()
    cut = sample_crop(frame, Crop(shape[1] / 2, shape[0] / 2, side, angle), (SIZE, SIZE))
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cut.any()
    assert taken < 8 << 20, "with all the black around it, it would be over 100 MiB"


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (np.ones((30, 30, 3), np.float32), "float32"),
        (np.zeros((30, 30), np.uint8), r"\(30, 30\)"),
        (np.zeros((30, 30, 4), np.uint8), r"\(30, 30, 4\)"),
        ([[[0, 0, 0]]], "of type list, no array"),
    ],
)
def test_a_frame_that_would_be_misread_is_refused(manifest: Manifest, frame: Any, why: str) -> None:
    for cut in (sample_crop, prepare):
        with pytest.raises(UserError, match=f"cannot use this frame: .*{why}"):
            cut(frame, Crop(15.0, 15.0, 20.0), (SIZE, SIZE) if cut is sample_crop else manifest)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (2, 3)])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_tiny_frames_are_cut_too(shape: tuple[int, int], angle: float) -> None:
    frame = np.full((*shape, 3), 77, np.uint8)
    cut = sample_crop(frame, Crop((shape[1] - 1) / 2, (shape[0] - 1) / 2, 3.0, angle), (SIZE, SIZE))
    assert cut.shape == (SIZE, SIZE, 3)
    assert 70 < cut.max() < 78, "a lone pixel is a pyramid, whose tip may lie between two samples"


@pytest.mark.parametrize(
    "crop",
    [Crop(0, 0, 0), Crop(0, 0, -1), Crop(math.nan, 0, 9), Crop(0, math.inf, 9), Crop(0, 0, math.inf), Crop(0, 0, 1e9)],
)
def test_a_region_that_cannot_hold_a_face_is_refused_before_memory_is_taken(crop: Crop) -> None:
    with pytest.raises(UserError, match="is not a region of a frame of 20 x 10 pixels"):
        sample_crop(np.zeros((10, 20, 3), np.uint8), crop, (SIZE, SIZE))


def test_normalised_to_the_formula(manifest: Manifest, astronaut: NDArray[np.uint8]) -> None:
    crop = Crop(220.0, 120.0, 140.0)
    cut = sample_crop(astronaut, crop, (SIZE, SIZE)).astype(np.float64)
    expected = ((cut - MEAN) / STD).transpose(2, 0, 1)[None]
    got = prepare(astronaut, crop, manifest)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_layout_is_the_manifests(manifest: Manifest, astronaut: NDArray[np.uint8]) -> None:
    nhwc = replace(manifest, input=TensorInfo("picture", (1, SIZE, SIZE, 3), "float32", "NHWC"))
    crop = Crop(220.0, 120.0, 140.0)
    got = prepare(astronaut, crop, nhwc)
    np.testing.assert_array_equal(got, prepare(astronaut, crop, manifest).transpose(0, 2, 3, 1))


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -5), ("uint8", 120), ("int16", 0)])
def test_quantized_to_the_formula(
    manifest: Manifest, astronaut: NDArray[np.uint8], dtype: str, zero_point: int
) -> None:
    scale = 0.02 if dtype != "int16" else 1e-4
    quantized = replace(manifest, input=TensorInfo("picture", (1, 3, SIZE, SIZE), dtype, "NCHW", scale, zero_point))
    cut = sample_crop(astronaut, Crop(220.0, 120.0, 140.0), (SIZE, SIZE))
    limits = np.iinfo(dtype)
    real = ((cut.astype(np.float64) - MEAN) / STD).transpose(2, 0, 1)[None]
    expected = np.clip(np.rint(real / scale) + zero_point, limits.min, limits.max)
    got = normalise(cut, quantized)
    assert got.dtype == dtype
    off = np.abs(got.astype(np.int64) - expected)
    assert off.max() <= 1, "float32 may fall on the other side of a half"
    assert (off > 0).mean() < 1e-3
