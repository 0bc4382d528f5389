"""Arm's compiler: where operators go and what they cost, and what users are told when it fails."""

from __future__ import annotations

import subprocess
import sys
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from ethosu.vela.architecture_features import Accelerator
from tflite_models import LITERT, SIZE, Drawn, central_pictures, drawn_model, quantized_model
from torch import Tensor, nn

from npuface_export.compilers import CpuOperator, compiler_by_name
from npuface_export.compilers.placement import BODY, CPU, DECODE
from npuface_export.compilers.vela import Vela, _placement
from npuface_export.converters import Recipe
from npuface_export.converters.tflite_graph import Graph
from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.target import target_by_name, targets
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
    assert (safe.kind, safe.note) == ("compiler estimate", None)
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
    assert "a lower bound" in str(made.estimate.note)


def test_a_float_model_runs_on_the_cpu_as_a_whole(tmp_path: Path) -> None:
    model = drawn_model("relative-threshold")
    made = COMPILER.compile(model.files["model"], TARGET, tmp_path)
    assert (made.placement.npu, made.placement.cpu) == (0, sum(model.operators.values()))
    assert "a lower bound: Vela estimates the NPU's share alone" in str(made.estimate.note)


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


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ("os.kill(os.getpid(), 11)", "vela was ended by SIGSEGV; it printed:\nwords"),
        ("raise OSError(28, os.strerror(28))", "the disk is full: vela failed with exit status 1; it printed:\nwords"),
    ],
)
def test_a_signal_and_a_full_disk_are_named(
    ends: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends_badly.py").write_text(f"import os\nprint('words', flush=True)\n{ends}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError) as caught:
        Vela(module="ends_badly").version()
    assert caught.value.why.startswith(why)


def test_unknown_compiler_names_the_known() -> None:
    with pytest.raises(UserError, match=r"the compilers are apple, .*, vela"):
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


VELA_TARGETS = {name: target for name, target in targets().items() if target.compiler == "vela"}


def test_every_accelerator_of_the_installed_vela_is_a_target() -> None:
    named = {target.compiler_options["accelerator-config"] for target in VELA_TARGETS.values()}
    assert named == set(Accelerator.member_list()) == set(VELA_TARGETS)


@pytest.mark.parametrize("name", ["ethos-u55-32", "ethos-u65-256", "ethos-u85-128"])
def test_every_family_runs_the_safe_form_as_a_whole(name: str, tmp_path: Path) -> None:
    """Its system and memory are such that Vela knows for that family, and nothing is left to the CPU."""
    model = quantized_model("relative-threshold", "int16")
    made = COMPILER.compile(model.files["model"], target_by_name(name), tmp_path)
    assert (made.placement.npu, made.placement.cpu) == (sum(model.operators.values()), 0)
    options = target_by_name(name).compiler_options
    assert options["system-config"].lower().startswith(name.rpartition("-")[0].replace("-", "_"))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    command = [sys.executable, "-m", "ethosu.vela", "--supported-ops-report"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "SUPPORTED_OPS.md").read_text()


@pytest.mark.parametrize(
    ("name", "family"), [("ethos-u55-128", "Ethos-U55 and Ethos-U65"), ("ethos-u85-256", "Ethos-U85")]
)
def test_operators_agree_with_the_report_of_the_installed_vela(name: str, family: str, report: str) -> None:
    start = report.index(f"## {family} TFLite Summary")
    summary = report[start : report.index("\n## ", start + 1)]
    operators = target_by_name(name).operators
    assert operators
    for operator, limit in operators.items():
        section, _, entry = limit.source.partition(": ")
        assert section.startswith(family), operator
        assert section in report, operator
        assert not section.endswith("Summary Table") or f"| {entry} |" in summary, operator


def test_the_stride_limit_is_that_of_the_report(report: str) -> None:
    start = report.index("### Ethos-U55 and Ethos-U65 TFLite DEPTHWISE_CONV_2D Constraints")
    assert "Kernel stride must be in the range (1,3)." in report[start : report.index("###", start + 4)]
    operators = TARGET.operators
    assert operators
    assert operators["Conv"].max_stride == 3


class _Strided(nn.Module):
    """A decode with an operator that the Ethos-U55 lacks: a depthwise convolution of stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 8, 8, groups=3, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        sums: Tensor = self.conv(maps)
        return sums


def test_an_operator_that_the_npu_lacks_is_reported_with_velas_reason(tmp_path: Path) -> None:
    """Negative control: it lands on the CPU, in the decode, with the reason; and a newer NPU takes it."""
    (tmp_path / "int8").mkdir()
    model = LITERT.convert(Drawn().eval(), _Strided().eval(), (SIZE, SIZE), tmp_path)
    model = LITERT.quantizer(model, central_pictures(2)).write(Recipe(decode="int8"), tmp_path / "int8")
    placement = COMPILER.compile(model.files["model"], TARGET, tmp_path).placement
    reason = "Unsupported kernel stride: 8, 8. Kernel stride must be in the range (1,3)"
    assert placement.cpu_operators == (CpuOperator("DEPTHWISE_CONV_2D", 1, reason),)
    assert (placement.decode_npu, placement.decode_cpu, placement.npu) == (0, 1, 2)
    newer = COMPILER.compile(model.files["model"], target_by_name("ethos-u85-256"), tmp_path).placement
    assert (newer.decode_npu, newer.decode_cpu) == (1, 0)


def test_only_the_npus_own_custom_operator_is_on_the_npu(tmp_path: Path) -> None:
    """Negative control: a custom operator of another name runs on the CPU, whoever brings it."""
    model = quantized_model("relative-threshold", "int16").files["model"]
    source, compiled = Graph.read(model), Graph.read(COMPILER.compile(model, TARGET, tmp_path).artifact)
    assert compiled.custom_code(compiled.operators[0]) == "ethos-u"
    assert _placement(source, compiled, "").cpu == 0
    compiled.model.operatorCodes[0].customCode = b"another"
    placement = _placement(source, compiled, "")
    assert [placed.name for placed in placement.operators if placed.device == CPU] == [placement.operators[-1].name]


@pytest.mark.parametrize(("read", "part"), [("decoded", DECODE), ("heatmaps", DECODE), ("picture", BODY)])
def test_what_the_compiler_adds_on_the_cpu_is_in_the_part_of_what_it_reads(
    read: str, part: str, tmp_path: Path
) -> None:
    """Two operators more, one behind the other, as a compiler may put them in."""
    model = quantized_model("relative-threshold", "int16").files["model"]
    source, compiled = Graph.read(model), Graph.read(COMPILER.compile(model, TARGET, tmp_path).artifact)
    body, tensors = compiled.model.subgraphs[0], list(compiled.model.subgraphs[0].tensors)
    compiled.model.operatorCodes.append(schema.OperatorCodeT())
    compiled.model.operatorCodes[-1].builtinCode = schema.BuiltinOperator.DEQUANTIZE
    (entrance,) = [i for i in range(len(tensors)) if compiled.name(i) == {"heatmaps": "decoded"}.get(read, read)]
    if read == "heatmaps":
        compiled.rename(entrance, read)
    for name in ("added", "added-behind"):
        tensors.append(copy(tensors[entrance]))
        tensors[-1].name = name.encode()
        added = schema.OperatorT()
        added.opcodeIndex, added.inputs, added.outputs = 1, [entrance], [len(tensors) - 1]
        body.tensors, body.operators, entrance = tensors, [*body.operators, added], len(tensors) - 1
    made = _placement(source, compiled, "").operators[len(source.operators) :]
    assert [(placed.name, placed.operator, placed.device, placed.part) for placed in made] == [
        ("added", "DEQUANTIZE", CPU, part),
        ("added-behind", "DEQUANTIZE", CPU, part),
    ]
    assert made[1].reads == (len(source.operators),)


def test_the_estimate_names_the_operators_that_cost(tmp_path: Path) -> None:
    safe = COMPILER.compile(quantized_model("relative-threshold", "int16").files["model"], TARGET, tmp_path)
    assert {"Sub", "MaxPool", "DepthwiseConv2D"} <= set(safe.estimate.decode_cycles)
    assert 0 < sum(safe.estimate.decode_cycles.values()) < safe.estimate.cycles
    assert (safe.placement.decode_cpu, safe.placement.npu - safe.placement.decode_npu) == (0, 2)
    host = COMPILER.compile(quantized_model("host", "int8").files["model"], TARGET, tmp_path)
    assert host.estimate.decode_cycles == {}
    assert (host.placement.decode_npu, host.placement.decode_cpu) == (0, 0)
