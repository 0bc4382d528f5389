from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npuface_runtime.errors import UserError
from npuface_runtime.manifest import FILE_NAME, Manifest


@pytest.fixture(scope="module")
def good(onnx_bundle: Path) -> dict[str, Any]:
    return json.loads((onnx_bundle / FILE_NAME).read_text())


@pytest.fixture
def bundle(onnx_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(onnx_bundle, tmp_path / "bundle"))


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return str(caught.value)


def test_what_is_written_is_what_is_read(onnx_bundle: Path, good: dict[str, Any]) -> None:
    manifest = Manifest.load(onnx_bundle)
    assert json.loads(json.dumps(manifest.as_json())) == good
    assert manifest.input_shape == (64, 64)
    assert manifest.file(onnx_bundle, "model").name == "dots.onnx"


def test_an_input_need_not_be_square(good: dict[str, Any]) -> None:
    raw = copy.deepcopy(good)
    raw["input"]["shape"] = [1, 3, 64, 96]
    raw["heatmap"] |= {"width": 24, "scale": [95 / 23, 4], "offset": [0, 1.5]}
    manifest = Manifest.from_json(raw)
    assert manifest.input_shape == (64, 96)
    corners = manifest.heatmap.to_pixels(np.array([[0, 0], [23, 15]]))
    np.testing.assert_allclose(corners, [[0, 1.5], [95, 61.5]], atol=1e-5)
    np.testing.assert_allclose(manifest.heatmap.to_cells(corners), [[0, 0], [23, 15]], atol=1e-5)


def _set(*keys: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def change(raw: dict[str, Any]) -> None:
        place: Any = raw
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


OPERATOR = {"name": "node_exp", "operator": "Exp", "device": "cpu", "part": "decode", "reads": []}


ORIGIN = {"file": "net.onnx", "head": "heatmaps", "reference": "the model's own decode", "tensors": ["maps"]}
FIT = {"threshold": 0.3, "threshold_error": 0.1, "faces": 9, "sigma": 1.5}


def _placed(**more: object) -> Callable[[dict[str, Any]], None]:
    return _set("placement", to={"npu": 1, "cpu": 1, **more})


def _shifted(**more: object) -> Callable[[dict[str, Any]], None]:
    return _set("coordinate_shift", to={"mean_px": 0.1, "max_px": 0.5, "faces": 4, **more})


FILE = {"path": "dots.onnx", "sha256": "0" * 64, "bytes": 1}
BAD = [
    (_set("format", to="zip"), 'does not say "format": "npuface-bundle"'),
    (_set("version", to=1), "its version is 1, this runtime reads 4"),
    (_set("colour", to="red"), "manifest has an unknown field 'colour'"),
    (_set("input", "shade", to=1), "manifest.input has an unknown field 'shade'"),
    (lambda raw: raw.pop("engine"), "manifest has no field 'engine'"),
    (_set("input", "shape", to="1x3"), "manifest.input.shape is not a list"),
    (_set("input", "shape", 0, to=1.0), "manifest.input.shape[0] is not of type int"),
    (_set("input", "shape", 0, to=True), "manifest.input.shape[0] is not of type int"),
    (_set("files", to=[]), "manifest.files is not an object"),
    (_set("landmarks", to=68), "manifest.landmarks is not an object"),
    (_set("preprocess", "margin", to="1.3"), "manifest.preprocess.margin is not of type float"),
    (_set("preprocess", "margin", to=10**400), "manifest.preprocess.margin is not finite"),
    (_set("preprocess", "margin", to=0), "a positive margin"),
    (_set("decode", "face_confidence", to=0), "its confidence of a clear face is 0.0, not above 0"),
    (_set("decode", "face_confidence", to=1.5), "its confidence of a clear face is 1.5, not above 0 and at most 1"),
    (_set("preprocess", "std", to=[1, 1, 0]), "three positive deviations"),
    (_set("preprocess", "mean", to=[1, 1]), "three means"),
    (_set("files", to={}), "it names no model file"),
    (_set("precision", to="/tmp/by-precision"), "its precision is '/tmp/by-precision', not one of float32, int8"),
    (_set("files", "/tmp/by-role", to=FILE), "it has a file for '/tmp/by-role', not for one of model, weights"),
    (_set("files", "weights", to=FILE | {"path": "./Manifest.json"}), "it names './Manifest.json' as one of its files"),
    (_set("files", "model", "path", to="../dots.onnx"), "'../dots.onnx' leaves the bundle"),
    (_set("files", "model", "path", to="a/../../dots.onnx"), "leaves the bundle"),
    (_set("files", "model", "path", to="/etc/passwd"), "'/etc/passwd' leaves the bundle"),
    (_set("files", "model", "path", to="..\\dots.onnx"), "leaves the bundle"),
    (_set("files", "model", "path", to="C:dots.onnx"), "leaves the bundle"),
    (_set("files", "model", "path", to="dots\0.onnx"), "leaves the bundle"),
    (_set("files", "model", "path", to=""), "leaves the bundle"),
    (_set("landmarks", "points", to=0), "number of landmarks is 0"),
    (_set("landmarks", "points", to=1_000_000), "number of landmarks is 1000000"),
    (_set("heatmap", "scale", to=[4, 0]), "the scale and offset of its heatmaps are (4.0, 0.0) and (1.5, 1.5)"),
    (_set("heatmap", "offset", to=[1.5]), "and (1.5,), not x and y of each"),
    (_set("heatmap", "scale", 0, to="4"), "manifest.heatmap.scale[0] is not of type float"),
    (_set("heatmap", "width", to=100_000), "16 x 100000 cells"),
    (_set("heatmap", "height", to=20), "does not fit 20 x 16 heatmaps with scale (4.0, 4.0)"),
    (_set("heatmap", "scale", to=[8, 4]), "does not fit 16 x 16 heatmaps with scale (8.0, 4.0)"),
    (
        _set("heatmap", "offset", to=[1.5, -40]),
        "does not fit 16 x 16 heatmaps with scale (4.0, 4.0) and offset (1.5, -40.0",
    ),
    (_set("input", "shape", to=[1, 4, 64, 64]), "its input (1, 4, 64, 64) is no RGB picture in NCHW"),
    (_set("input", "layout", to="NHWC"), "is no RGB picture in NHWC"),
    (_set("input", "shape", to=[1, 3, 64, 8192]), "its input (1, 3, 64, 8192) is no RGB picture"),
    (_set("heatmap", "kind", to="hologram"), "of kind 'hologram', not one of heatmaps"),
    (_set("outputs", to=[]), "it names no output"),
    (_set("outputs", 0, "shape", to=[1, 1 << 20, 1 << 20]), "has shape (1, 1048576, 1048576)"),
    (_set("outputs", 0, "shape", to=[1, -2]), "has shape (1, -2)"),
    (_set("outputs", 0, "shape", to=[]), "has shape ()"),
    (_set("outputs", 0, "dtype", to="object"), "has type 'object', not one of float32"),
    (_set("outputs", 0, "layout", to="HW"), "has layout 'HW', not NCHW or NHWC"),
    (_set("outputs", 0, "scale", to=0.5), "of type float32 has scale 0.5 and zero point None"),
    (_set("outputs", 0, "dtype", to="int8"), "of type int8 has scale None and zero point None"),
    (_set("placement", to=[]), "manifest.placement is not an object"),
    (_set("placement", to={}), "manifest.placement has no field 'npu'"),
    (_set("placement", to={"npu": 1}), "manifest.placement has no field 'cpu'"),
    (_set("placement", to={"npu": 1, "cpu": "two"}), "manifest.placement.cpu is not of type int"),
    (_set("placement", to={"npu": 1.0, "cpu": 2}), "manifest.placement.npu is not of type int"),
    (_set("placement", to={"npu": -1, "cpu": 0}), "manifest.placement.npu is below zero"),
    (_placed(cpu_operators=[3]), "manifest.placement.cpu_operators[0] is not of type str"),
    (_placed(body={"npu": 1}), "manifest.placement.body has no field 'cpu'"),
    (_placed(decode={"npu": 0, "cpu": -1}), "manifest.placement.decode.cpu is below zero"),
    (_placed(reasons={}), "manifest.placement.reasons is not a list"),
    (_placed(reasons=[{"operator": "Exp", "reason": None}]), "manifest.placement.reasons[0] has no field 'count'"),
    (_placed(reasons=[{"operator": "Exp", "count": 1, "reason": 3}]), "reasons[0].reason is not of type str"),
    (_placed(operators=["Exp"]), "manifest.placement.operators[0] is not an object"),
    (_placed(operators=[OPERATOR | {"reads": [-1]}]), "manifest.placement.operators[0].reads[0] is below zero"),
    (_placed(operators=[OPERATOR | {"device": None}]), "operators[0].device is not of type str"),
    (_set("coordinate_shift", to={}), "manifest.coordinate_shift has no field 'mean_px'"),
    (_shifted(mean_px="0.1"), "manifest.coordinate_shift.mean_px is not of type float"),
    (_shifted(max_px=10**400), "manifest.coordinate_shift.max_px is not finite"),
    (_shifted(faces=-3), "manifest.coordinate_shift.faces is below zero"),
    (_shifted(oracle=["LiteRT"]), "manifest.coordinate_shift.oracle is not of type str"),
    (_shifted(from_stand_in_px="near"), "manifest.coordinate_shift.from_stand_in_px is not of type float"),
    (_set("decode", "moved", to={"a": 1.0}), "manifest.decode.moved has no field 'budget_px'"),
    (_set("decode", "refused", to=[{}]), "manifest.decode.refused[0] has no field 'form'"),
    (_set("origin", to={}), "manifest.origin has no field 'file'"),
    (_set("origin", to=ORIGIN | {"fit": 3}), "manifest.origin.fit is not an object"),
    (_set("origin", to=ORIGIN | {"fit": {"beta": 1.0}}), "manifest.origin.fit has no field 'threshold'"),
    (_set("origin", to=ORIGIN | {"fit": FIT | {"beta": 1.0}}), "manifest.origin.fit has no field 'error'"),
]


@pytest.mark.parametrize(("change", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_wrong_manifest_is_refused_with_its_reason(
    bundle: Path, good: dict[str, Any], change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    raw = copy.deepcopy(good)
    change(raw)
    (bundle / FILE_NAME).write_text(json.dumps(raw))
    assert reason in refusal(lambda: Manifest.load(bundle))


@pytest.mark.parametrize(
    "change",
    [
        _set("placement", to=None),
        _set("placement", to={"npu": 3, "cpu": 1, "cpu_operators": ["SOFTMAX"]}),
        _placed(body={"npu": 1, "cpu": 0}, reasons=[{"operator": "Exp", "count": 1, "reason": None}]),
        _placed(operators=[OPERATOR, OPERATOR | {"reads": [0], "reason": "no Exp", "dtype": "int8"}]),
        _set("coordinate_shift", to=None),
        _shifted(),
        _shifted(oracle="an emulator", from_stand_in_px=0.01),
        _set("origin", to=ORIGIN),
        _set("origin", to=ORIGIN | {"fit": FIT}),
    ],
)
def test_records_of_older_and_newer_bundles_are_read(
    good: dict[str, Any], change: Callable[[dict[str, Any]], None]
) -> None:
    raw = copy.deepcopy(good)
    change(raw)
    assert json.loads(json.dumps(Manifest.from_json(raw).as_json())) == raw


@pytest.mark.parametrize(("scale", "zero_point"), [(0.0, 0), (-1.0, 0), (0.1, 128), (0.1, -129), (0.1, None)])
def test_a_quantized_tensor_needs_a_scale_and_a_zero_point_of_its_type(
    good: dict[str, Any], scale: float, zero_point: int | None
) -> None:
    raw = copy.deepcopy(good)
    raw["outputs"][0] |= {"dtype": "int8", "scale": scale, "zero_point": zero_point}
    assert "of type int8 has scale" in refusal(lambda: Manifest.from_json(raw))
    raw["outputs"][0] |= {"scale": 0.1, "zero_point": -128}
    Manifest.from_json(raw)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "manifest.json is not JSON"),
        ("[]", 'does not say "format"'),
        ("[" * 100_000, "manifest.json is not JSON"),
        ('{"recipe": NaN}', "NaN is no JSON number"),
        ('{"recipe": -Infinity}', "-Infinity is no JSON number"),
        (" " * (1 << 23) + "{}", "is over 8388608 bytes"),
    ],
)
def test_text_that_is_no_manifest_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert reason in refusal(lambda: Manifest.load(tmp_path))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe\x00")
    assert "manifest.json is not JSON" in refusal(lambda: Manifest.load(tmp_path))


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    assert "there is no manifest.json in it" in refusal(lambda: Manifest.load(tmp_path))
    assert "there is no manifest.json in it" in refusal(lambda: Manifest.load(tmp_path / "absent"))


@given(
    raw=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    key=st.sampled_from(
        [
            "name",
            "files",
            "input",
            "outputs",
            "preprocess",
            "heatmap",
            "decode",
            "tools",
            "placement",
            "coordinate_shift",
        ]
    ),
)
def test_any_plain_data_makes_a_manifest_or_a_user_error(good: dict[str, Any], raw: object, key: str) -> None:
    try:
        manifest = Manifest.from_json(good | {key: raw})
    except UserError:
        return
    assert all(math.isfinite(v) for v in manifest.decode.params.values())


def test_an_edited_file_is_refused(bundle: Path) -> None:
    file = bundle / "dots.onnx"
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)
    assert "is not the file that was packed" in refusal(lambda: Manifest.load(bundle).file(bundle, "model"))


def test_a_truncated_file_is_refused(bundle: Path) -> None:
    file = bundle / "dots.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    assert "is not the file that was packed" in refusal(lambda: Manifest.load(bundle).file(bundle, "model"))


def test_a_missing_file_and_a_missing_role_are_refused(bundle: Path) -> None:
    manifest = Manifest.load(bundle)
    assert "it has no 'device' file" in refusal(lambda: manifest.file(bundle, "device"))
    (bundle / "dots.onnx").unlink()
    assert "dots.onnx is missing" in refusal(lambda: manifest.file(bundle, "model"))


def test_a_link_out_of_the_bundle_is_refused_even_to_the_same_bytes(bundle: Path) -> None:
    outside = bundle.parent / "outside.onnx"
    (bundle / "dots.onnx").rename(outside)
    (bundle / "dots.onnx").symlink_to(outside)
    assert "dots.onnx is a link" in refusal(lambda: Manifest.load(bundle).file(bundle, "model"))


def test_a_link_in_the_middle_of_the_path_is_refused(bundle: Path, good: dict[str, Any]) -> None:
    outside = bundle.parent / "outside"
    outside.mkdir()
    (bundle / "dots.onnx").rename(outside / "dots.onnx")
    (bundle / "inner").symlink_to(outside)
    raw = copy.deepcopy(good)
    raw["files"]["model"]["path"] = "inner/dots.onnx"
    assert "inner/dots.onnx is a link" in refusal(lambda: Manifest.from_json(raw).file(bundle, "model"))


def test_a_bundle_behind_a_link_opens(bundle: Path) -> None:
    alias = bundle.parent / "alias"
    alias.symlink_to(bundle)
    assert Manifest.load(alias).file(alias, "model").is_file()
