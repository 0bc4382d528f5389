"""Targets as data: what they refuse, and which decode form that leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from npuface_export.decode import FORMS, HeatmapSpec
from npuface_export.decode.form import Need
from npuface_export.export import choose_form
from npuface_export.target import OperatorLimit, Target, target_by_name, targets
from npuface_runtime.errors import UserError

SPEC = HeatmapSpec(points=68, height=64, width=64)
EVERYTHING = Target("everything", "", "onnxruntime", ("float32",), is_npu=False, source="test")


def npu(**operators: OperatorLimit) -> Target:
    return replace(EVERYTHING, name="tiny-npu", is_npu=True, operators=operators)


def test_a_cpu_engine_takes_the_first_form() -> None:
    form, refused = choose_form(EVERYTHING, SPEC)
    assert (form.name, refused) == ("relative-threshold", ())


@pytest.mark.parametrize(
    ("need", "reason"),
    [
        (Need("Softmax"), "tiny-npu has no Softmax"),
        (Need("Conv", (64, 64)), "Conv kernel (64, 64) is higher than 32"),
        (Need("Conv", (32, 64)), "Conv kernel (32, 64) has more than 1024 cells"),
        (Need("Conv", (32, 32)), None),
    ],
)
def test_limits_give_reasons(need: Need, reason: str | None) -> None:
    assert npu(Conv=OperatorLimit(max_kernel_height=32, max_kernel_area=1024)).refuses(need) == reason


def test_what_a_target_lacks_is_refused_and_recorded() -> None:
    form, refused = choose_form(npu(Conv=OperatorLimit()), SPEC)
    assert form.name == "host"
    assert refused == ({"form": "relative-threshold", "reason": "tiny-npu has no MaxPool"},)


def test_a_forced_form_is_taken_without_refusals() -> None:
    form, refused = choose_form(EVERYTHING, SPEC, "seed")
    assert (form.name, refused) == ("seed", ())


def test_a_forced_form_that_cannot_run_is_an_error() -> None:
    with pytest.raises(UserError) as caught:
        choose_form(npu(Conv=OperatorLimit()), SPEC, "seed")
    assert caught.value.what == "tiny-npu cannot run the decode form seed"
    assert caught.value.why == "tiny-npu has no Mul"
    assert caught.value.fix == "use host"


@pytest.mark.parametrize("name", targets())
def test_every_target_can_run_some_form(name: str) -> None:
    target = target_by_name(name)
    form, refused = choose_form(target, SPEC)
    assert target.refuses_form(form, SPEC) is None
    assert all(target.refuses_form(FORMS[entry["form"]], SPEC) == entry["reason"] for entry in refused)
    assert target.source
    assert set(target.precisions) <= {"float32", "int8"}


def test_an_unknown_target_suggests_the_near_one() -> None:
    with pytest.raises(UserError, match=r"Did you mean .*onnxruntime-cpu"):
        target_by_name("onnxruntime")
