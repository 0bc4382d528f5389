"""Arm's compiler: where operators go and what they cost, and what users are told when it fails."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tflite_models import drawn_model, quantized_model

from npuface_export.compilers import compiler_by_name
from npuface_export.compilers.vela import Vela
from npuface_export.converters.tflite_graph import Graph
from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.target import target_by_name
from npuface_runtime.errors import UserError

TARGET = target_by_name("ethos-u55-128")
COMPILER = compiler_by_name("vela")


def test_safe_form_runs_on_the_npu_as_a_whole(tmp_path: Path) -> None:
    model = quantized_model("relative-threshold", "int16")
    made = COMPILER.compile(model.files["model"], TARGET, tmp_path)
    assert (made.placement.npu, made.placement.cpu) == (sum(model.operators.values()), 0)
    compiled = Graph.read(made.artifact)
    assert compiled.operator_counts() == {"CUSTOM": 1}
    assert [compiled.tensor_info(i) for i in compiled.outputs] == list(model.outputs)
    assert [path.name for path in tmp_path.iterdir()] == ["device.tflite"]


def test_estimate_splits_body_and_decode(tmp_path: Path) -> None:
    safe = COMPILER.compile(quantized_model("relative-threshold", "int16").files["model"], TARGET, tmp_path).estimate
    seed = COMPILER.compile(quantized_model("seed", "int8").files["model"], TARGET, tmp_path).estimate
    assert safe.kind == "compiler estimate"
    for estimate in (safe, seed):
        assert estimate.body_ms is not None
        assert estimate.decode_ms is not None
        assert estimate.body_ms + estimate.decode_ms == pytest.approx(estimate.total_ms)
        assert estimate.total_ms == pytest.approx(estimate.cycles / 500e3, rel=1e-3)  # at 500 MHz
        assert min(estimate.sram_bytes, estimate.flash_bytes) > 0
    assert safe.body_ms == seed.body_ms
    assert safe.decode_ms is not None
    assert seed.decode_ms is not None
    assert safe.decode_ms < seed.decode_ms


def test_host_form_is_all_body(tmp_path: Path) -> None:
    estimate = COMPILER.compile(quantized_model("host", "int8").files["model"], TARGET, tmp_path).estimate
    assert (estimate.body_ms, estimate.decode_ms) == (estimate.total_ms, 0)


def test_a_float_decode_is_reported_on_the_cpu_with_the_reason(tmp_path: Path) -> None:
    made = COMPILER.compile(quantized_model("relative-threshold", "float32").files["model"], TARGET, tmp_path)
    found = {op.operator: op for op in made.placement.cpu_operators}
    assert {name: op.count for name, op in found.items()} == {
        "CONCATENATION": 1,
        "DEPTHWISE_CONV_2D": 6,
        "DEQUANTIZE": 1,
        "MAX_POOL_2D": 2,
        "MUL": 1,
        "SUB": 1,
    }
    assert (made.placement.npu, made.placement.cpu) == (2, 12)
    assert "unsupported DataType Float32" in str(found["SUB"].reason)
    assert found["DEQUANTIZE"].reason == "Unsupported opType"
    assert made.estimate.decode_ms is None


def test_a_float_model_runs_on_the_cpu_as_a_whole(tmp_path: Path) -> None:
    model = drawn_model("relative-threshold")
    made = COMPILER.compile(model.files["model"], TARGET, tmp_path)
    assert (made.placement.npu, made.placement.cpu) == (0, sum(model.operators.values()))


def test_missing_compiler(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no_such_compiler is not installed\. Install it with: pip install"):
        Vela(module="no_such_compiler").compile(quantized_model("host", "int8").files["model"], TARGET, tmp_path)


def test_a_failure_keeps_what_vela_printed_and_leaves_nothing(tmp_path: Path) -> None:
    wrong = replace(TARGET, compiler_options={**TARGET.compiler_options, "system-config": "Nowhere"})
    with pytest.raises(UserError, match=r"(?s)failed with exit status 1; it printed:.*Nowhere"):
        COMPILER.compile(quantized_model("host", "int8").files["model"], wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vela took over 0.01 s"):
        Vela(timeout=0.01).compile(quantized_model("host", "int8").files["model"], TARGET, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_compiler_names_the_known() -> None:
    with pytest.raises(UserError, match="the compilers are vela"):
        compiler_by_name("velo")


@pytest.mark.parametrize(
    ("form", "cells", "reason"),
    [
        ("relative-threshold", 64, None),
        ("seed", 64, None),
        ("relative-threshold", 65, "Conv kernel (65, 1) is higher than 64"),
        ("seed", 65, "Conv kernel (65, 65) is higher than 64"),
    ],
)
def test_target_knows_the_kernel_limit(form: str, cells: int, reason: str | None) -> None:
    assert TARGET.refuses_form(form_by_name(form), HeatmapSpec(68, cells, cells)) == reason


def test_target_agrees_with_the_report_of_the_installed_vela(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "ethosu.vela", "--supported-ops-report"], cwd=tmp_path, check=True, capture_output=True
    )
    report = (tmp_path / "SUPPORTED_OPS.md").read_text()
    u55 = report[
        report.index("## Ethos-U55 and Ethos-U65 TFLite Summary") : report.index("## Ethos-U85 TFLite Summary")
    ]
    assert TARGET.operators is not None
    for name, limit in TARGET.operators.items():
        section, _, operator = limit.source.partition(": ")
        assert section in report, name
        assert not section.endswith("Summary Table") or f"| {operator} |" in u55, name
