"""Every decode form against an independent float64 reference: in torch for training, as built, and in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from decode_reference import (
    cell_and_offset,
    classifiers,
    gaussian_maps,
    highest_cell_and_offset,
    marginal_threshold,
    relative_threshold,
    softargmax,
    static_threshold,
    windowed,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from npuface_export.converters.onnx_graph import export_onnx
from npuface_export.decode import FORMS, DecodeForm, HeatmapSpec, form_by_name
from npuface_export.decode.grid import exact_grid
from npuface_export.decode.marginal_threshold import BACKGROUND
from npuface_runtime.errors import UserError
from npuface_runtime.finish import finish_decode
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess, TensorInfo

TOLERANCE = 1e-3
"""Heatmap cells."""
SUMS_A_MAP = ("seed", "centred", "unnormalised", "hierarchical")
"""Forms that sum a whole map at once. As torch does it in float32, one term after the other, what comes after the
peak is below the last place and vanishes; see float32_tolerance. Engines sum in blocks, and are within TOLERANCE.
"""
Maps = NDArray[np.float32]
SMALL = HeatmapSpec(1, 12, 10)
Reference = Callable[[Maps, HeatmapSpec], NDArray[np.float64]]


def float32_tolerance(name: str, spec: HeatmapSpec) -> float:
    """How far off torch's float32 may be: up to H W 2^-24 of the mass, pulled from as far as the map is wide."""
    lost = spec.height * spec.width * 2**-24 * max(spec.height, spec.width)
    return max(TOLERANCE, lost) if name in SUMS_A_MAP else TOLERANCE


def _softmax(maps: Maps, spec: HeatmapSpec) -> NDArray[np.float64]:
    return softargmax(maps, spec.beta)


def _relative(maps: Maps, spec: HeatmapSpec) -> NDArray[np.float64]:
    return relative_threshold(maps, spec.threshold)


def _windowed(maps: Maps, spec: HeatmapSpec) -> NDArray[np.float64]:
    window = FORMS["marginals"].finish_params(spec)["window"]
    return windowed(maps, spec.threshold, int(window))


REFERENCES: dict[str, Reference] = {
    "seed": _softmax,
    "centred": _softmax,
    "onebyone": _softmax,
    "separable": _softmax,
    "hierarchical": _softmax,
    "unnormalised": _softmax,
    "per-map-maximum": _softmax,
    "relative-threshold": _relative,
    "host": _relative,
    "threshold-marginals": lambda maps, spec: static_threshold(maps, spec.threshold),
    "marginal-threshold": lambda maps, spec: marginal_threshold(maps, BACKGROUND, spec.threshold),
    "marginals": _windowed,
    "heatmap-offset": lambda maps, spec: cell_and_offset(maps, spec.threshold),
    "heatmap-offset-host": lambda maps, spec: highest_cell_and_offset(maps),
    "simcc": lambda maps, spec: classifiers(maps, spec.width, spec.beta),
    "simcc-host": lambda maps, spec: classifiers(maps, spec.width, spec.beta),
}


def test_every_form_has_a_reference() -> None:
    assert set(FORMS) == set(REFERENCES)


def finished(form: DecodeForm, spec: HeatmapSpec, output: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the runtime makes of a decode's output, in cells."""
    stride = 4
    manifest = Manifest(
        name="test",
        target="test",
        engine="onnxruntime",
        precision="float32",
        files={},
        input=TensorInfo("pictures", (1, 3, spec.height * stride, spec.width * stride), "float32", "NCHW"),
        outputs=(TensorInfo("decoded", output.shape, "float32", "NCHW"),),
        preprocess=Preprocess((0, 0, 0), (1, 1, 1), 1.3),
        landmarks=Landmarks("test", spec.points),
        heatmap=HeatmapInfo(spec.height, spec.width, (stride, stride), (1.5, 1.5), "heatmaps", spec.kind),
        decode=Decode(form.name, form.finish, form.finish_params(spec), output.nbytes),
    )
    points, _ = finish_decode(manifest, [output])
    return manifest.heatmap.to_cells(points)


def entering(form: DecodeForm, spec: HeatmapSpec, maps: Maps, seed: int) -> tuple[HeatmapSpec, Maps]:
    """What a form of any kind decodes, made of heatmaps [1, K, H, W], and the spec of that kind."""
    rng = np.random.default_rng(seed)
    (kind,) = form.kinds
    if kind == "heatmap-offset":
        maps = np.concatenate(
            [maps, rng.uniform(-1, 1, maps.shape).astype(np.float32)[:, [*range(spec.points)] * 2]], 1
        )
    elif kind == "simcc":
        maps = np.concatenate([maps.max(axis=2), maps.max(axis=3)], axis=2)[:, :, None]
    spec = replace(spec, kind=kind)
    assert maps.shape == spec.input_shape
    return spec, maps


@st.composite
def specs_and_maps(draw: st.DrawFn) -> tuple[HeatmapSpec, Maps]:
    """Heatmaps of any shape with peaks anywhere, the borders and corners included."""
    height, width = draw(st.integers(7, 96)), draw(st.integers(7, 96))
    share = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
    peaks = [(draw(share) * (width - 1), draw(share) * (height - 1)) for _ in range(draw(st.integers(1, 4)))]
    sigma, noise = draw(st.floats(1.0, 3.0)), draw(st.floats(0, 0.1))
    spec = HeatmapSpec(len(peaks), height, width, draw(st.floats(5, 30)), draw(st.floats(0.2, 0.6)), sigma)
    return spec, gaussian_maps(np.array(peaks), height, width, sigma, noise, draw(st.integers(0, 99)))


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(case=specs_and_maps())
def test_torch_matches_the_reference(name: str, case: tuple[HeatmapSpec, Maps]) -> None:
    form = FORMS[name]
    spec, maps = entering(form, *case, seed=0)
    expected = REFERENCES[name](maps, spec)
    with torch.no_grad():
        trained = form.points(torch.from_numpy(maps), spec)[0].numpy()
        built = form.build(spec)(torch.from_numpy(maps)).numpy()
        exact = form.build(spec).double()(torch.from_numpy(maps).double()).float().numpy()
    np.testing.assert_allclose(trained, expected, rtol=0, atol=TOLERANCE)
    expected = np.clip(expected, -1, (spec.width, spec.height))  # an offset may point one cell off the map
    np.testing.assert_allclose(finished(form, spec, exact), expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(finished(form, spec, built), expected, rtol=0, atol=float32_tolerance(name, spec))


@pytest.mark.parametrize("shape", [(133, 7, 9), (2, 96, 96)])
@pytest.mark.parametrize("name", [name for name in FORMS if not isinstance(FORMS[name].build(SMALL), nn.Identity)])
def test_onnx_matches_the_reference(name: str, shape: tuple[int, int, int]) -> None:
    count, height, width = shape
    corners = [(0, 0), (width - 1, height - 1), (width / 3, height / 2), (width - 1, 0.4), (0.5, height - 1)]
    peaks = np.array([corners[n % len(corners)] for n in range(count)])
    form = FORMS[name]
    maps = gaussian_maps(peaks, height, width, 1.5, 0.02, seed=1)
    spec, maps = entering(form, HeatmapSpec(count, height, width), maps, seed=2)
    model = export_onnx(form.build(spec), maps, "maps", "decoded")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = finished(form, spec, session.run(None, {"maps": maps})[0])
    expected = np.clip(REFERENCES[name](maps, spec), -1, (width, height))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_the_reference_tells_forms_apart() -> None:
    """Negative control: the tolerance is far below the difference between two forms on one map."""
    maps = gaussian_maps(np.array([(3.0, 5.0)]), 32, 32, 1.5, 0.05, seed=2)
    assert np.abs(softargmax(maps, 10.0) - relative_threshold(maps, 0.3)).max() > 100 * TOLERANCE


@pytest.mark.parametrize("name", FORMS)
def test_points_are_differentiable(name: str) -> None:
    spec, entered = entering(
        FORMS[name], SMALL, gaussian_maps(np.array([(4.0, 6.0)]), 12, 10, 1.5, 0.0, seed=0), seed=0
    )
    maps = torch.from_numpy(entered).requires_grad_()
    FORMS[name].points(maps, spec).sum().backward()  # type: ignore[no-untyped-call]
    assert maps.grad is not None
    assert maps.grad.abs().sum() > 0


def test_a_map_without_a_peak_is_no_landmark() -> None:
    spec, form = HeatmapSpec(1, 16, 16), FORMS["relative-threshold"]
    output = form.build(spec)(torch.full((1, 1, 16, 16), -0.5)).detach().numpy()
    assert np.isfinite(finished(form, spec, output)).all()


@pytest.mark.parametrize("cells", [2, 7, 14, 28, 32, 56, 64, 96, 128, 255])
def test_grid_weights_are_exact_in_int8(cells: int) -> None:
    """Symmetric per-tensor INT8 takes scale = max |w| / 127; every weight must come back as it was."""
    weights = np.array(exact_grid(cells).weights)
    scale = np.abs(weights).max() / 127
    stored = np.rint(weights / scale)
    assert scale == pytest.approx(1 / 127, rel=1e-12)
    assert len(set(stored)) == cells
    np.testing.assert_allclose(stored * scale, weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cells", [1, 256])
def test_grid_refuses_what_int8_cannot_hold(cells: int) -> None:
    with pytest.raises(ValueError, match=f"2 to 255 cells, not {cells}"):
        exact_grid(cells)


def test_unknown_form_suggests_the_near_one() -> None:
    with pytest.raises(UserError, match="Did you mean relative-threshold") as caught:
        form_by_name("relative-treshold")
    assert caught.value.what == "unknown decode form 'relative-treshold'"
