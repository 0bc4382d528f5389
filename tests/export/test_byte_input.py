"""Networks that take bytes: the same coordinates, and in INT8 the byte itself enters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_networks import SIZE, small_network
from test_calibration import write_faces

from npuface_export.byte_input import with_byte_input
from npuface_export.export import export_bundle
from npuface_export.quantize import quantize_bundle
from npuface_export.shift import cells_on
from npuface_export.target import target_by_name
from npuface_runtime import FaceAligner
from npuface_runtime.manifest import Manifest, TensorInfo
from npuface_runtime.preprocess import normalise, normalised


def test_the_network_makes_the_same_of_bytes() -> None:
    network = replace(small_network(), mean=(120.0, 110.0, 100.0), std=(60.0, 59.0, 58.0))
    pixels = torch.randint(0, 256, (2, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0)).float()
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (network.mean, network.std))
    bytewise = with_byte_input(network)
    with torch.no_grad():
        expected, found = network.module((pixels - mean) / std), bytewise.module(pixels)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
    assert (bytewise.mean, bytewise.std) == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("target", "dtype", "scale", "zero"),
    [("onnxruntime-cpu", "uint8", 1.0, 0), ("litert-cpu", "int8", 1.0, -128), ("openvino-cpu", "float32", None, None)],
)
def test_bytes_enter_the_quantized_model(
    target: str, dtype: str, scale: float | None, zero: int | None, tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    (tmp_path / "faces").mkdir()
    write_faces(tmp_path / "faces", astronaut, 12)
    out, plain = tmp_path / "bundle", tmp_path / "plain"
    export_bundle(with_byte_input(small_network()), target_by_name(target), out)
    export_bundle(small_network(), target_by_name("onnxruntime-cpu"), plain)
    manifest = quantize_bundle(out, tmp_path / "faces")
    assert manifest.coordinate_shift is not None
    assert manifest.coordinate_shift["mean_px"] < 0.1
    entering = manifest.input
    assert (entering.dtype, entering.scale, entering.zero_point) == (dtype, scale, zero)
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.float32)
    stored = normalise(picture, manifest).astype(np.int64).reshape(-1)
    pixels = picture.transpose(2, 0, 1) if entering.layout == "NCHW" else picture
    np.testing.assert_array_equal(stored - (zero or 0), pixels.reshape(-1))
    found = cells_on(
        manifest, {role: manifest.file(out, role) for role in ("model", "weights") if role in manifest.files}, [picture]
    )
    exact = Manifest.load(plain)
    expected = cells_on(exact, {"model": exact.file(plain, "model")}, [picture])
    assert np.abs(found - expected).mean() < 0.3
    with FaceAligner(out) as aligner:
        assert aligner.align(astronaut)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_short_way_is_the_long_way(dtype: str, layout: str) -> None:
    shape = (1, 3, 8, 6) if layout == "NCHW" else (1, 8, 6, 3)
    zero = 0 if dtype == "uint8" else -128
    picture = np.random.default_rng(1).uniform(0, 255, (8, 6, 3)).astype(np.float32)
    short = normalised(picture, TensorInfo("x", shape, dtype, layout, 1.0, zero), (0, 0, 0), (1, 1, 1)).copy()
    long = normalised(picture, TensorInfo("x", shape, dtype, layout, 1.0, zero), (0, 0, 1e-9), (1, 1, 1))
    assert short.dtype == long.dtype == dtype
    np.testing.assert_array_equal(short, long)
