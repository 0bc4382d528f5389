"""Apple: a float bundle becomes a Core ML package, always the same one, and nothing is claimed of where it runs."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from small_networks import small_network

from npuface_export.compile import compile_bundle, cpu_refusals
from npuface_export.compilers import compiler_by_name
from npuface_export.compilers.apple import check_program
from npuface_export.export import export_bundle
from npuface_export.quantize import quantize_bundle
from npuface_export.target import target_by_name
from npuface_export.toolchains import toolchain_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest, TensorInfo

TARGET = target_by_name("apple-ane")
COMPILER = compiler_by_name("apple")
PICTURE = [TensorInfo("pictures", (1, 3, 8, 8), "float32", "NCHW")]
MAPS = [TensorInfo("heatmaps", (1, 5, 8, 8), "float32", "NCHW")]
MADE = {
    "inputs": {"pictures": [1, 3, 8, 8]},
    "outputs": {"heatmaps": [1, 5, 8, 8]},
    "operators": [["cast", "FLOAT16"], ["conv", "FLOAT16"], ["cast", "FLOAT32"]],
}


@pytest.fixture
def installed() -> None:
    if toolchain_by_name("apple").version() is None:
        pytest.skip("the toolchain apple is not installed")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "float"
    export_bundle(small_network(), TARGET, out, form="relative-threshold")
    return out


def one_operator(path: Path, operator: str) -> Path:
    """A model of a single operator on the picture."""
    picture = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, (1, 3, 8, 8))
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, (1, 3, 8, 8))
    graph = helper.make_graph([helper.make_node(operator, ["pictures"], ["made"], "only")], "one", [picture], [made])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


@pytest.mark.usefixtures("installed")
def test_a_float_bundle_is_converted_and_nothing_is_claimed_of_it(bundle: Path, tmp_path: Path) -> None:
    manifest = compile_bundle(bundle, tmp_path / "compiled")
    assert (manifest.precision, manifest.tools["apple"]) == ("float32", toolchain_by_name("apple").version())
    assert (manifest.placement, manifest.estimate, manifest.coordinate_shift) == (None, None, None)
    assert cpu_refusals(manifest) == []
    package = manifest.file(tmp_path / "compiled", "device")
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert "model.mlpackage/Data/com.apple.CoreML/model.mlmodel" in names
        listed = json.loads(archive.read("model.mlpackage/Manifest.json"))
        assert listed["rootModelIdentifier"] in listed["itemInfoEntries"]
    again = COMPILER.compile(manifest.file(tmp_path / "compiled", "model"), TARGET, tmp_path)
    assert again.artifact.read_bytes() == package.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compiled", "device.mlpackage.zip"]


def test_quantizing_is_refused_with_what_to_do_instead(bundle: Path) -> None:
    with pytest.raises(UserError) as caught:
        quantize_bundle(bundle, Path("no pictures"))
    assert "INT8 is not made for it, only float16" in str(caught.value)
    assert "Run npuface compile on the float bundle" in str(caught.value)
    assert Manifest.load(bundle).precision == "float32"


def test_without_the_toolchain_compiling_says_what_installs_it(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPUFACE_TOOLCHAINS", str(tmp_path / "none"))
    with pytest.raises(UserError, match="npuface toolchain install apple"):
        compile_bundle(bundle, tmp_path / "compiled")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("installed")
def test_an_operator_that_is_not_read_is_refused_by_its_node(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the operator Sinh of the node 'only'"):
        COMPILER.compile(one_operator(tmp_path / "model.onnx", "Sinh"), TARGET, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.usefixtures("installed")
def test_what_core_ml_tools_refuse_is_told_in_their_words(tmp_path: Path) -> None:
    too_old = replace(TARGET, compiler_options={"deployment_target": "iOS13"})  # older than ML programs
    with pytest.raises(UserError) as caught:
        COMPILER.compile(one_operator(tmp_path / "model.onnx", "Relu"), too_old, tmp_path)
    assert "cannot convert for apple-ane" in str(caught.value)
    assert "the minimum deployment target must be at least iOS15" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_program_that_differs_from_the_model_is_refused() -> None:
    check_program(MADE, PICTURE, MAPS, "cannot convert")
    wide = {**MADE, "operators": [*MADE["operators"], ["softmax", "FLOAT32"], ["softmax", "FLOAT32"]]}
    with pytest.raises(UserError, match=r"stayed in float32, .*: 2 softmax"):
        check_program(wide, PICTURE, MAPS, "cannot convert")
    with pytest.raises(UserError, match=r"its outputs became .*, in the model they are"):
        check_program({**MADE, "outputs": {"heatmaps": [5, 8, 8]}}, PICTURE, MAPS, "cannot convert")
