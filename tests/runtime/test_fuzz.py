"""Random bundles and frames: each is an answer or a clear error; nothing hangs, crashes or leaves a stray file."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tiny_models import dotted_frame
from tracked_dots import Seer

from npuface_runtime import FaceAligner, FaceTracker, UserError

sys.path.append(str(Path(__file__).parents[1]))
from fuzzing import share, snapshot

FRAME = dotted_frame(96, 80, (40, 30), (60, 50))
LONGEST = timedelta(seconds=20)
"""Beyond it a case counts as hung."""
patient = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["../../evil", "/etc/passwd", "model.onnx\0", "C:\\x", "int8", "NHWC", "litert", "", "manifest.json"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def places(raw: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in plain data."""
    found = [path] if path else []
    if isinstance(raw, dict):
        return found + [deeper for key, value in raw.items() for deeper in places(value, (*path, key))]
    if isinstance(raw, list):
        return found + [deeper for i, value in enumerate(raw) for deeper in places(value, (*path, i))]
    return found


def changed(raw: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> None:
    place = raw
    for key in path[:-1]:
        place = place[key]
    change(place, path[-1])


@st.composite
def manifests(draw: st.DrawFn, raw: dict[str, Any]) -> str:
    """The text of a manifest of which up to three values are others, or gone, or that is garbled as a text."""
    copy = json.loads(json.dumps(raw))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(places(copy)))
        if draw(st.booleans()):
            value = draw(values)
            changed(copy, path, lambda place, key, value=value: place.__setitem__(key, value))
        else:
            changed(copy, path, lambda place, key: place.__delitem__(key))
        if not places(copy):
            break
    text = json.dumps(copy)
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(text)))
        text = text[:cut] + draw(st.text(max_size=5)) + text[cut + draw(st.integers(0, 5)) :]
    return text


def check(error: UserError) -> None:
    """It says what, why and what to do."""
    assert all((error.what, error.why, error.fix))


@settings(max_examples=share(0.5), deadline=LONGEST, suppress_health_check=patient, derandomize=True)
@given(data=st.data())
def test_fuzz_bundles(onnx_bundle: Path, tmp_path: Path, data: st.DataObject) -> None:
    shutil.rmtree(tmp_path / "work", ignore_errors=True)
    bundle = tmp_path / "work" / "bundle"
    shutil.copytree(onnx_bundle, bundle)
    raw = json.loads((bundle / "manifest.json").read_text())
    model = bundle / raw["files"]["model"]["path"]
    if data.draw(st.integers(0, 3)) == 0:  # another model, packed by somebody who writes its hash into the manifest
        garbled = bytearray(model.read_bytes())
        for _ in range(data.draw(st.integers(1, 6))):
            garbled[data.draw(st.integers(0, len(garbled) - 1))] = data.draw(st.integers(0, 255))
        kept = bytes(garbled[: data.draw(st.integers(0, len(garbled)))] if data.draw(st.booleans()) else garbled)
        model.write_bytes(kept)
        raw["files"]["model"] |= {"sha256": hashlib.sha256(kept).hexdigest(), "bytes": len(kept)}
    (bundle / "manifest.json").write_text(data.draw(manifests(raw)), encoding="utf-8", errors="surrogatepass")
    before = snapshot(tmp_path)
    try:
        with FaceAligner(bundle, Seer((50.0, 40.0))) as aligner:
            for face in aligner.align(FRAME):
                assert face.landmarks.dtype == np.float32
    except UserError as error:
        check(error)
    assert snapshot(tmp_path) == before


dtypes = st.one_of(
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.boolean_dtypes(),
    hnp.complex_number_dtypes(),
)


@st.composite
def frames(draw: st.DrawFn) -> Any:
    if draw(st.integers(0, 9)) == 0:
        return draw(
            st.one_of(st.none(), st.text(max_size=3), st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=3))
        )
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=24))
    if draw(st.booleans()):
        shape = (draw(st.integers(1, 80)), draw(st.integers(1, 80)), draw(st.sampled_from([1, 3, 4])))
    dtype = draw(st.one_of(st.just(np.dtype(np.uint8)), st.just(np.dtype(np.float32)), dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    frame: NDArray[Any] = (rng.uniform(-1, 1, shape) * draw(st.sampled_from([1, 255, 1e30, 0]))).astype(dtype)
    if frame.size and dtype.kind in "fc" and draw(st.booleans()):
        frame.reshape(-1)[0] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    for axis in range(frame.ndim):
        if draw(st.integers(0, 3)) == 0:
            frame = np.flip(frame, axis)
    return frame if draw(st.booleans()) else frame.T


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:Casting complex")
@settings(max_examples=share(0.3), deadline=LONGEST, suppress_health_check=patient, derandomize=True)
@given(
    frames=st.lists(frames(), min_size=1, max_size=3),
    places=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=3),
)
def test_fuzz_frames(onnx_bundle: Path, frames: list[Any], places: list[tuple[float, float]]) -> None:
    with FaceAligner(onnx_bundle, Seer(*places)) as aligner, FaceTracker(onnx_bundle, Seer(*places)) as tracker:
        for frame in frames:
            for answer in (aligner.align, tracker.track):
                try:
                    faces = answer(frame)
                except UserError as error:
                    check(error)
                else:
                    assert all(np.isfinite(face.landmarks).all() for face in faces)


def test_fuzz_finds_what_is_put_there(tmp_path: Path) -> None:
    """The negative control: a file that appears beside the bundle is seen."""
    before = snapshot(tmp_path)
    (tmp_path / "evil").write_text("x")
    assert snapshot(tmp_path) != before
