"""Intel's NPU: what is said where its compiler is missing, and what is read from what it prints where it is not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from small_networks import small_network

from npuface_export.compile import compile_bundle
from npuface_export.compilers import compiler_by_name
from npuface_export.compilers.intel_npu import IntelNpu, estimate_of, ir_placement
from npuface_export.converters import converter_by_name, target_recipe
from npuface_export.export import export_bundle
from npuface_export.quantize import quantize_bundle
from npuface_export.target import target_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import DeviceEngine, Manifest

TARGET = target_by_name("intel-npu-4000")
LOG = "[INFO] 16:30:10.463 [inference-execution-analysis]    Estimated inference latency: 942.78us\n"
"""From the vendor's guide "Compiler Schedule Trace"."""
STAND_IN = f"""
import json, sys
from pathlib import Path
import openvino
asked = json.loads(Path(sys.argv[1]).read_text())
if "model" in asked:
    assert asked["properties"]["NPU_PLATFORM"] == "4000"
    Path("compileTimeScheduleTrace.json").write_text("left where it runs")
    compiled = openvino.Core().compile_model(asked["model"], "CPU")
    Path(asked["artifact"]).write_bytes(compiled.export_model().getvalue())
    print({LOG!r})
Path(sys.argv[2]).write_text(json.dumps({{"compiler": (7 << 16) + 3, "openvino": "2026.4.1-22982-e213a147257"}}))
"""
"""Compiles for the CPU in place of the NPU, and prints what the vendor documents."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the logs go."""
    folder = tmp_path / "toolchains"
    monkeypatch.setenv("NPUFACE_TOOLCHAINS", str(folder))
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float bundle for the NPU: made without its compiler."""
    out = tmp_path_factory.mktemp("bundles") / "float"
    export_bundle(small_network(), TARGET, out, form="relative-threshold")
    return out


@pytest.fixture
def without_compiler() -> None:
    try:
        compiler_by_name("intel_npu").version()
    except UserError:
        return
    pytest.skip("OpenVINO has an NPU compiler on this machine")


def content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def worker(folder: Path, text: str) -> IntelNpu:
    path = folder / "worker.py"
    path.write_text(text)
    return IntelNpu(worker=path)


@pytest.mark.usefixtures("without_compiler")
def test_a_missing_compiler_is_refused_early_with_the_vendors_reason_and_leaves_no_bundle(bundle: Path) -> None:
    before = content(bundle)
    for refused in (
        lambda out: quantize_bundle(bundle, Path("no pictures"), out),
        lambda out: compile_bundle(bundle, out),
    ):
        for out in (None, bundle.parent / "quantized"):
            with pytest.raises(UserError) as caught:
                refused(out)
            message = str(caught.value)
            assert "cannot compile for the Intel NPU" in message
            assert "openvino_intel_npu_compiler" in message
            assert "a machine with that NPU and its driver" in message
    assert content(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["float"]


def test_the_float_bundle_says_what_runs_it_and_where(bundle: Path) -> None:
    manifest = Manifest.load(bundle)
    assert (manifest.engine, manifest.device) == ("openvino", DeviceEngine("openvino", {"device": "NPU"}))
    assert (manifest.placement, manifest.estimate) == (None, None)


@pytest.mark.parametrize("number", ["3720", "4000", "5010"])
def test_every_target_names_its_platform_and_decodes_in_float(number: str) -> None:
    target = target_by_name(f"intel-npu-{number}")
    assert target.compiler_options == {"NPU_PLATFORM": number}
    assert target_recipe(target).decode == "float32"  # which the NPU computes in float16
    assert set(target.precisions) == {"float16", "int8"}


def test_a_compiled_model_is_on_the_npu_as_a_whole(bundle: Path, tmp_path: Path) -> None:
    model = Manifest.load(bundle).file(bundle, "model")
    folder = tmp_path / "folder"
    folder.mkdir()
    made = worker(tmp_path, STAND_IN).compile(model, TARGET, folder)
    assert [path.name for path in folder.iterdir()] == ["device.blob"] == [made.artifact.name]
    assert made.version == "OpenVINO 2026.4.1, NPU compiler 7.3"
    assert made.estimate is not None
    assert made.estimate.total_ms == pytest.approx(0.94278)
    assert made.placement == ir_placement(model)


def test_the_placement_lists_the_operators_of_the_model_in_body_and_decode(bundle: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(bundle)
    files = {role: manifest.file(bundle, role) for role in manifest.files}
    placement = ir_placement(files["model"])
    described = converter_by_name("openvino").describe(files, (5, 16, 16))
    kinds = [placed.operator for placed in placement.operators]
    assert {kind: kinds.count(kind) for kind in kinds} == described.operators
    assert placement.cpu == 0
    assert 0 < placement.decode_npu < placement.npu
    assert all(source < i for i, placed in enumerate(placement.operators) for source in placed.reads)
    last = placement.operators[-1]
    assert (last.part, bool(last.reads)) == ("decode", True)
    (tmp_path / "model.xml").write_text("no model")
    with pytest.raises(UserError, match=r"cannot read model.xml: it is no OpenVINO model"):
        ir_placement(tmp_path / "model.xml")


def test_the_latency_is_read_as_the_vendor_logs_it() -> None:
    first = estimate_of(LOG)
    assert first is not None
    assert (first.kind, first.total_ms, first.body_ms) == ("compiler estimate", pytest.approx(0.94278), None)
    later = estimate_of("Estimated inference latency: 1250 us in dpu frequency 1850 MHz\n")
    assert later is not None
    assert later.total_ms == pytest.approx(1.25)
    unsure = estimate_of(LOG + "There are 4 tasks with invalid cost, estimation might not be valid\n")
    assert unsure is not None
    assert "no cost for 4 tasks" in str(unsure.note)
    assert estimate_of("[INFO] compiled, latency unknown\n") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import os, signal; print('deep inside'); os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV"),
        ("print('deep inside')", "ended without an answer"),
        (
            "import sys; from pathlib import Path; print('deep inside'); Path(sys.argv[2]).write_text('[')",
            "without an answer",
        ),
        ("import os; print('deep inside'); raise OSError(28, os.strerror(28), 'blob')", "the disk is full"),
    ],
)
def test_a_crash_in_the_compiler_is_an_error_with_its_log(text: str, reason: str, tmp_path: Path, home: Path) -> None:
    with pytest.raises(UserError) as caught:
        worker(tmp_path, text).version()
    assert reason in str(caught.value)
    (log,) = (home / "logs").iterdir()
    assert str(log) in str(caught.value)
    assert log.read_text().startswith("deep inside\n")


def test_a_compiler_that_hangs_is_stopped(tmp_path: Path) -> None:
    slow = replace(worker(tmp_path, "import time; time.sleep(60)"), timeout=1.0)
    with pytest.raises(UserError, match="took over 1 s"):
        slow.version()
