"""Export and quantization from end to end on the CPU engines, with a network that exports in a second."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_networks import POINTS, BrightSpots, small_network
from test_calibration import write_faces
from torch import Tensor

from npuface_export.compile import compile_bundle
from npuface_export.converters import Recipe, converter_by_name
from npuface_export.decode import FORMS
from npuface_export.export import export_bundle
from npuface_export.quantize import quantize_bundle
from npuface_export.shift import coordinate_shift
from npuface_export.target import target_by_name
from npuface_runtime.engines import open_session
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest

ENGINES = ("onnxruntime", "openvino")
HEATMAP = (POINTS, 16, 16)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Path:
    """A folder of calibration pictures."""
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder, astronaut, 12)
    return folder


@pytest.fixture(scope="module", params=ENGINES)
def bundles(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, faces: Path) -> tuple[Path, Path]:
    """(float, INT8) bundles of the small network for each engine."""
    folder = tmp_path_factory.mktemp(request.param)
    exact, quantized = folder / "float", folder / "int8"
    export_bundle(small_network(), target_by_name(f"{request.param}-cpu"), exact)
    quantize_bundle(exact, faces, quantized)
    return exact, quantized


def test_a_float_bundle_says_what_it_is(bundles: tuple[Path, Path]) -> None:
    manifest = Manifest.load(bundles[0])
    assert (manifest.name, manifest.precision) == ("small", "float32")
    assert (manifest.decode.form, manifest.decode.bytes_out) == ("relative-threshold", 5 * POINTS * 4)
    assert manifest.parity is not None
    assert manifest.parity["max_abs"] <= 1e-3
    assert manifest.placement is not None
    assert manifest.placement["npu"] == 0
    assert manifest.placement["cpu"] >= len(manifest.placement["cpu_operators"]) > 5
    assert manifest.coordinate_shift is None
    assert {"torch", "npuface", "onnx"} <= set(manifest.tools)


def test_nothing_is_said_of_what_a_gpu_runs_where(tmp_path: Path, faces: Path) -> None:
    bundle = tmp_path / "bundle"
    assert export_bundle(small_network(), target_by_name("openvino-gpu"), bundle).placement is None
    stale = json.loads((bundle / "manifest.json").read_text())
    stale["placement"] = {"npu": 0, "cpu": 18, "cpu_operators": ["Convolution"]}
    (bundle / "manifest.json").write_text(json.dumps(stale))
    assert quantize_bundle(bundle, faces).placement is None


def test_an_int8_bundle_says_how_it_was_made(bundles: tuple[Path, Path]) -> None:
    manifest = Manifest.load(bundles[1])
    assert manifest.precision == "int8"
    assert manifest.recipe is not None
    assert (manifest.recipe["body"], manifest.recipe["decode"]) == ("int8", "float32")
    assert manifest.recipe["calibration"]["measured_on_other_pictures"] is True
    assert manifest.coordinate_shift is not None
    assert 0 < manifest.coordinate_shift["mean_px"] < 0.5
    assert manifest.coordinate_shift["faces"] == 4
    assert manifest.parity == Manifest.load(bundles[0]).parity
    assert {"model", "float"} <= set(manifest.files)


def test_both_models_run_as_the_manifest_says(bundles: tuple[Path, Path]) -> None:
    for bundle in bundles:
        manifest = Manifest.load(bundle)
        files = {role: manifest.file(bundle, role) for role in manifest.files}
        with open_session(manifest.engine, files) as session:
            outputs = session.run(np.zeros(manifest.input.shape, manifest.input.dtype))
        assert [(o.shape, o.dtype.name) for o in outputs] == [(t.shape, t.dtype) for t in manifest.outputs]


def test_an_int8_bundle_can_be_quantized_again(bundles: tuple[Path, Path], faces: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(bundles[1], again)
    before = Manifest.load(again)
    after = quantize_bundle(again, faces, recipe=Recipe(decode="int8"))
    assert after.recipe is not None
    assert after.recipe["decode"] == "int8"
    assert after.files["float"] == before.files["float"]
    assert after.files["model"] != before.files["model"]
    assert {path.name for path in again.iterdir()} == {"manifest.json", *(info.path for info in after.files.values())}


def test_a_corrupt_bundle_is_refused(bundles: tuple[Path, Path], faces: Path, tmp_path: Path) -> None:
    corrupt = tmp_path / "corrupt"
    shutil.copytree(bundles[0], corrupt)
    model = corrupt / Manifest.load(corrupt).files["model"].path
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(UserError, match="size or SHA-256 differ"):
        quantize_bundle(corrupt, faces)


def test_an_int8_bundle_without_its_float_model_is_refused(
    bundles: tuple[Path, Path], faces: Path, tmp_path: Path
) -> None:
    stripped = tmp_path / "stripped"
    shutil.copytree(bundles[1], stripped)
    raw = json.loads((stripped / "manifest.json").read_text())
    raw["files"] = {role: info for role, info in raw["files"].items() if not role.startswith("float")}
    (stripped / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match="it has no float model in it"):
        quantize_bundle(stripped, faces)


def test_a_cpu_target_has_nothing_to_compile(bundles: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="runs the model as it is"):
        compile_bundle(bundles[1])


class _Fickle(BrightSpots):
    """Gives other heatmaps once it has been exported."""

    def forward(self, pictures: Tensor) -> Tensor:
        maps = super().forward(pictures)
        return maps if torch.compiler.is_exporting() or pictures.std() > 0.99 else maps.flip(-1)


def test_parity_is_asserted(tmp_path: Path) -> None:
    """Negative control: coordinates that are not torch's never become a bundle."""
    with pytest.raises(UserError, match=r"not give torch's coordinates|is not the torch network"):
        export_bundle(small_network(_Fickle()), target_by_name("onnxruntime-cpu"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


class _Blind(BrightSpots):
    """Draws no peaks."""

    def forward(self, pictures: Tensor) -> Tensor:
        return -1 - super().forward(pictures)


def test_parity_is_never_vacuous(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it draws no peak in any heatmap"):
        export_bundle(small_network(_Blind()), target_by_name("onnxruntime-cpu"), tmp_path / "out")


@pytest.mark.parametrize("form", ["relative-threshold", "seed"])
@pytest.mark.parametrize("engine", ENGINES)
def test_converters_read_back_and_cut(engine: str, form: str, tmp_path: Path) -> None:
    converter, network = converter_by_name(engine), small_network()
    pictures = [np.random.default_rng(i).standard_normal((1, 3, 64, 64)).astype(np.float32) for i in range(4)]
    folders = [tmp_path / name for name in ("float", "int8", "cut")]
    for folder in folders:
        folder.mkdir()
    decode = FORMS[form].build(network.spec)
    model = converter.convert(network.module, decode, network.input_shape, folders[0])
    assert converter.describe(model.files, HEATMAP) == model
    with pytest.raises(UserError, match=r"its heatmaps have shape \(1, 5, 16, 16\), not \(1, 5, 16, 8\)"):
        converter.describe(model.files, (POINTS, 16, 8))
    quantized = converter.quantizer(model, pictures).write(converter.safe_recipe, folders[1])
    assert converter.describe(quantized.files, HEATMAP) == quantized
    cut = converter.cut(quantized, folders[2])
    with open_session(engine, cut.files) as session:
        (heatmaps,) = session.run(pictures[0])
    info = cut.outputs[0]
    assert (heatmaps.shape, heatmaps.dtype.name) == ((1, *HEATMAP), info.dtype)
    real = (
        heatmaps if info.scale is None or info.zero_point is None else (heatmaps - float(info.zero_point)) * info.scale
    )
    with torch.no_grad():
        expected = network.module(torch.from_numpy(pictures[0])).numpy()
    assert np.abs(real - expected).max() < 0.05 * np.abs(expected).max()
    assert sum(cut.operators.values()) < sum(quantized.operators.values())


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_no_model_is_refused(engine: str, tmp_path: Path) -> None:
    files = {role: tmp_path / f"{role}.xml" for role in ("model", "weights")}
    for path in files.values():
        path.write_bytes(b"no model")
    with pytest.raises(UserError, match=r"cannot read model\.xml: it is no"):
        converter_by_name(engine).describe(files, HEATMAP)


def test_shift_is_a_distance() -> None:
    exact = np.zeros((2, 3, 2), np.float32)
    moved = exact.copy()
    moved[1, 2] = (3, 4)
    assert coordinate_shift(exact, moved) == {"mean_px": pytest.approx(5 / 6), "max_px": 5.0, "faces": 2}
