"""Rockchip's compiler: what runs where and in which type, its simulator as oracle, and what users are told."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from npuface_export.compilers import Compilation, compiler_by_name
from npuface_export.compilers.placement import CPU, DECODE
from npuface_export.converters import ModelFiles, Recipe, converter_by_name
from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.decode.form import Need
from npuface_export.target import target_by_name, targets
from npuface_export.toolchains import toolchain_by_name
from npuface_runtime.engines import open_session
from npuface_runtime.errors import UserError

COMPILER = compiler_by_name("rockchip")
RKNN = converter_by_name("rknn")
SIZE, CELLS, POINTS = 64, 32, 8
SPEC = HeatmapSpec(points=POINTS, height=CELLS, width=CELLS)
PICTURES = [p[None] for p in np.random.default_rng(0).random((4, 3, SIZE, SIZE), np.float32)]
ROCKCHIP = [name for name in targets() if name.startswith("rockchip-")]
_FOLDER = tempfile.TemporaryDirectory(prefix="npuface-tests-")


class TwoBranches(nn.Module):
    """Pictures [1, 3, 64, 64] -> heatmaps [1, 8, 32, 32]: two branches, concatenated before the last convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.other = (nn.Conv2d(3, 12, 3, 2, 1) for _ in range(2))
        self.last = nn.Conv2d(24, POINTS, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Maps of both signs, as a network draws them."""
        maps: Tensor = self.last(torch.cat([torch.relu(self.one(pictures)), torch.relu(self.other(pictures))], dim=1))
        return maps


@cache
def quantized(form: str, decode: str) -> ModelFiles:
    folder = Path(_FOLDER.name) / f"{form}-{decode}"
    folder.mkdir()
    source = RKNN.convert(TwoBranches().eval(), form_by_name(form).build(SPEC).eval(), (SIZE, SIZE), folder)
    return RKNN.quantizer(source, PICTURES).write(Recipe(decode=decode), folder)


@pytest.fixture(scope="module", autouse=True)
def toolchain() -> None:
    if toolchain_by_name("rockchip").version() is None:
        pytest.skip("the toolchain rockchip is not installed")


@cache
def compiled(form: str, decode: str, chip: str) -> Compilation:
    folder = Path(tempfile.mkdtemp(dir=_FOLDER.name))
    return COMPILER.compile(
        quantized(form, decode).files["model"], target_by_name(f"rockchip-{chip}"), folder, PICTURES
    )


def host_outputs(model: ModelFiles) -> list[np.ndarray]:
    with open_session("onnxruntime", model.files, 1) as session:
        return [session.run(picture)[0] for picture in PICTURES]


def assert_close_to_the_host(made: Compilation, model: ModelFiles) -> None:
    """INT8 rounds differently there: a step of the heatmaps, summed over a map, and no more."""
    assert made.emulation is not None
    assert made.emulation.oracle == f"RKNN-Toolkit2 {made.version}, simulator"
    for (emulated,), expected in zip(made.emulation.outputs, host_outputs(model), strict=True):
        assert emulated.shape == expected.shape
        assert emulated.dtype == expected.dtype == np.float32
        assert np.abs(emulated - expected).mean() <= 0.02 * np.abs(expected).mean()


@pytest.mark.parametrize(
    ("form", "decode", "chip"), [("relative-threshold", "float16", "rk3588"), ("marginals", "int8", "rv1106")]
)
def test_all_of_it_runs_on_the_npu_as_on_the_host(form: str, decode: str, chip: str) -> None:
    made = compiled(form, decode, chip)
    assert made.placement is not None
    assert made.placement.cpu == 0
    assert made.placement.decode_npu > 5
    assert {placed.dtype for placed in made.placement.operators if placed.part != DECODE} == {"int8"}
    assert {placed.dtype for placed in made.placement.operators if placed.part == DECODE} <= {"int8", decode}
    assert_close_to_the_host(made, quantized(form, decode))
    assert [path.name for path in made.artifact.parent.iterdir()] == ["device.rknn"]
    assert made.artifact.read_bytes()[:4] == b"RKNN"


def test_layers_have_the_names_of_the_nodes_that_they_come_from() -> None:
    made = compiled("relative-threshold", "float16", "rk3588")
    assert made.placement is not None
    operators = made.placement.operators
    heatmaps = next(i for i, placed in enumerate(operators) if placed.name == "node_conv2d_2")
    (concat,) = [i for i, placed in enumerate(operators) if placed.operator == "Concat" and placed.part != DECODE]
    assert operators[heatmaps].reads == (concat,)
    pools = [placed for placed in operators if placed.name == "decode/node_max_pool2d"]
    assert len(pools) > 1  # one kernel of the map's height became several
    assert pools[0].reads == (heatmaps,)
    assert {placed.part for placed in pools} == {DECODE}
    for index, placed in enumerate(operators):
        assert all(read < index for read in placed.reads)


def test_the_estimate_is_a_lower_bound_and_says_so() -> None:
    estimate = compiled("relative-threshold", "float16", "rk3588").estimate
    assert estimate is not None
    assert (estimate.kind, estimate.total_ms) == ("compiler estimate", None)
    assert estimate.cycles is not None
    assert 0 < sum(estimate.decode_cycles.values()) < estimate.cycles
    assert min(estimate.flash_bytes or 0, estimate.dram_bytes or 0, estimate.moved_bytes or 0) > 0
    assert "a lower bound: the toolkit lists no cycles for" in str(estimate.note)
    assert "MaxPool" in str(estimate.note)


def test_softmax_is_on_the_cpu_where_the_npu_has_none() -> None:
    """Negative control: what the target's list leaves out is what the toolkit leaves to the CPU."""
    placement = compiled("seed", "float16", "rk3566").placement
    assert placement is not None
    (softmax,) = [on_cpu for on_cpu in placement.cpu_operators if on_cpu.operator == "exSoftmax13"]
    assert softmax.reason == "the toolkit's table of layers puts it there, without a reason"
    assert {placed.part for placed in placement.operators if placed.device == CPU} == {DECODE}
    assert target_by_name("rockchip-rk3566").refuses(Need("Softmax")) == "rockchip-rk3566 has no Softmax"


def test_softmax_is_on_the_npu_of_others() -> None:
    placement = compiled("seed", "float16", "rv1126b").placement
    assert placement is not None
    assert placement.cpu == 0
    assert target_by_name("rockchip-rv1126b").refuses(Need("Softmax")) is None


def test_exp_is_on_the_cpu_and_a_chip_without_cpu_operators_says_what_that_means() -> None:
    placement = compiled("per-map-maximum", "int8", "rv1106").placement
    assert placement is not None
    assert [placed.name for placed in placement.operators if placed.device == CPU] == ["decode/node_exp"]
    assert "does not load a model that has one" in str(placement.cpu_operators[0].reason)
    for name in ROCKCHIP:
        assert target_by_name(name).refuses(Need("Exp")) == f"{name} has no Exp"


def test_a_rewriting_that_leaves_float_in_the_body_is_not_hidden(tmp_path: Path) -> None:
    """Without the option of the targets the toolkit splits the last convolution, and computes it in float16."""
    target = replace(target_by_name("rockchip-rk3588"), compiler_options={"platform": "rk3588"})
    made = COMPILER.compile(quantized("relative-threshold", "float16").files["model"], target, tmp_path)
    assert made.placement is not None
    assert made.estimate is not None
    wide = [placed for placed in made.placement.operators if placed.part != DECODE and placed.dtype == "float16"]
    assert len(wide) >= 2
    assert f"{len(wide)} layers of the body are in float16" in str(made.estimate.note)


def test_a_chip_without_float_refuses_it_with_the_reason(tmp_path: Path) -> None:
    model = quantized("relative-threshold", "float16").files["model"]
    with pytest.raises(UserError) as caught:
        COMPILER.compile(model, target_by_name("rockchip-rv1106"), tmp_path)
    assert "cannot compile for rockchip-rv1106: " in str(caught.value)
    assert "not supported 'float16' dtype at rv1103/rv1106!" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_rk3568_is_the_same_chip_as_rk3566(tmp_path: Path) -> None:
    target = target_by_name("rockchip-rk3566")
    other = replace(target, compiler_options={**target.compiler_options, "platform": "rk3568"})
    one = compiled("seed", "float16", "rk3566")
    two = COMPILER.compile(quantized("seed", "float16").files["model"], other, tmp_path)
    assert (one.placement, one.estimate) == (two.placement, two.estimate)
