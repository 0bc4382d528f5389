"""Every decode form against an independent float64 reference: in torch for training, as built, and in ONNX."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from decode_reference import gaussian_maps, relative_threshold, softargmax, static_threshold
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from npuface_export.converters.onnx_graph import export_onnx
from npuface_export.decode import FORMS, DecodeForm, HeatmapSpec, form_by_name
from npuface_export.decode.grid import exact_grid
from npuface_runtime.errors import UserError
from npuface_runtime.finish import finish_decode
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess, TensorInfo

TOLERANCE = 1e-3
"""Heatmap cells."""
BUILT_TOLERANCE = {"seed": 5e-3}
"""The published form sums p times an uncentred coordinate over thousands of cells in float32: what comes after the peak
is below the sum's last place and vanishes. The other forms sum weights that are zero there, and divide by their mass.
"""
REFERENCES: dict[str, Callable[[NDArray[np.float32], HeatmapSpec], NDArray[np.float64]]] = {
    "seed": lambda maps, spec: softargmax(maps, spec.beta),
    "relative-threshold": lambda maps, spec: relative_threshold(maps, spec.threshold),
    "per-map-maximum": lambda maps, spec: softargmax(maps, spec.beta),
    "threshold-marginals": lambda maps, spec: static_threshold(maps, spec.threshold),
    "host": lambda maps, spec: relative_threshold(maps, spec.threshold),
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
        heatmap=HeatmapInfo(spec.height, spec.width, (stride, stride), (1.5, 1.5), "heatmaps"),
        decode=Decode(form.name, form.finish, form.finish_params(spec), output.nbytes),
    )
    points, _ = finish_decode(manifest, [output])
    return manifest.heatmap.to_cells(points)


@st.composite
def specs_and_maps(draw: st.DrawFn) -> tuple[HeatmapSpec, NDArray[np.float32]]:
    """Heatmaps of any shape with peaks anywhere, the borders and corners included."""
    height, width = draw(st.integers(7, 96)), draw(st.integers(7, 96))
    share = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
    peaks = [(draw(share) * (width - 1), draw(share) * (height - 1)) for _ in range(draw(st.integers(1, 4)))]
    sigma, noise = draw(st.floats(1.0, 3.0)), draw(st.floats(0, 0.1))
    spec = HeatmapSpec(len(peaks), height, width, draw(st.floats(5, 30)), draw(st.floats(0.2, 0.6)), sigma)
    return spec, gaussian_maps(np.array(peaks), height, width, sigma, noise, draw(st.integers(0, 99)))


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=specs_and_maps())
def test_torch_matches_the_reference(name: str, case: tuple[HeatmapSpec, NDArray[np.float32]]) -> None:
    (spec, maps), form = case, FORMS[name]
    expected = REFERENCES[name](maps, spec)
    with torch.no_grad():
        trained = form.points(torch.from_numpy(maps), spec)[0].numpy()
        built = form.build(spec)(torch.from_numpy(maps)).numpy()
    np.testing.assert_allclose(trained, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(finished(form, spec, built), expected, rtol=0, atol=BUILT_TOLERANCE.get(name, TOLERANCE))


@pytest.mark.parametrize("shape", [(7, 7), (16, 48), (64, 64)])
@pytest.mark.parametrize("name", ["seed", "relative-threshold"])
def test_onnx_matches_the_reference(name: str, shape: tuple[int, int]) -> None:
    height, width = shape
    peaks = np.array([(0, 0), (width - 1, height - 1), (width / 3, height / 2), (width - 1, 0.4)])
    maps = gaussian_maps(peaks, height, width, 1.5, 0.02, seed=1)
    form, spec = FORMS[name], HeatmapSpec(len(peaks), height, width)
    model = export_onnx(form.build(spec), maps, "maps", "decoded")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = finished(form, spec, session.run(None, {"maps": maps})[0])
    np.testing.assert_allclose(found, REFERENCES[name](maps, spec), rtol=0, atol=TOLERANCE)


def test_the_reference_tells_forms_apart() -> None:
    """Negative control: the tolerance is far below the difference between two forms on one map."""
    maps = gaussian_maps(np.array([(3.0, 5.0)]), 32, 32, 1.5, 0.05, seed=2)
    assert np.abs(softargmax(maps, 10.0) - relative_threshold(maps, 0.3)).max() > 100 * TOLERANCE


@pytest.mark.parametrize("name", FORMS)
def test_points_are_differentiable(name: str) -> None:
    maps = torch.from_numpy(gaussian_maps(np.array([(4.0, 6.0)]), 12, 10, 1.5, 0.0, seed=0)).requires_grad_()
    FORMS[name].points(maps, HeatmapSpec(1, 12, 10)).sum().backward()  # type: ignore[no-untyped-call]
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
