"""Targets as data: what they refuse, and which decode form that leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from npuface_export.decode import FORMS, HeatmapSpec, form_by_name
from npuface_export.decode.form import Need
from npuface_export.target import OperatorLimit, Target, target_by_name, targets
from npuface_runtime.errors import UserError

SPEC = HeatmapSpec(points=68, height=64, width=64)
SAFE = {"sony-imx500": ("onebyone", "host")}
"""Of targets that run others than most do."""
EVERYTHING = Target("everything", "", "onnxruntime", ("float32",), is_npu=False, source="test")


def test_a_host_runs_what_needs_no_device_of_its_own() -> None:
    hosts = {name for name, target in targets().items() if target.runs_on_host}
    assert hosts == {"litert-cpu", "onnxruntime-cpu", "openvino-cpu"}


def npu(**operators: OperatorLimit) -> Target:
    return replace(EVERYTHING, name="tiny-npu", is_npu=True, operators=operators)


@pytest.mark.parametrize(
    ("need", "reason"),
    [
        (Need("Softmax"), "tiny-npu has no Softmax"),
        (Need("Conv", (64, 64)), "Conv kernel (64, 64) is higher than 32"),
        (Need("Conv", (1, 65)), "Conv kernel (1, 65) is wider than 64"),
        (Need("Conv", (32, 64)), "Conv kernel (32, 64) has more than 1024 cells"),
        (Need("Conv", (32, 32), (3, 3)), None),
        (Need("Conv", (8, 8), (1, 4)), "Conv stride (1, 4) is over 3"),
    ],
)
def test_limits_give_reasons(need: Need, reason: str | None) -> None:
    limit = OperatorLimit(max_kernel_height=32, max_kernel_width=64, max_kernel_area=1024, max_stride=3)
    assert npu(Conv=limit).refuses(need) == reason


@pytest.mark.parametrize("name", targets())
def test_every_target_can_run_the_safe_forms_and_says_what_they_cost(name: str) -> None:
    target = target_by_name(name)
    for form in SAFE.get(name, ("relative-threshold", "threshold-marginals", "host")):
        assert target.refuses_form(form_by_name(form), SPEC) is None
    assert target.source
    assert target.cost.source
    assert target.cost.byte_out > 0
    assert set(target.precisions) <= {"float32", "float16", "int8"}
    needed = {need.operator for form in FORMS.values() for need in form.needs(replace(SPEC, kind=form.kinds[0]))}
    costs = [cost for operator, cost in target.cost.operators.items() if operator in needed]
    assert len(costs) > 5
    assert all(cost.work >= 0 and cost.kernel >= 0 for cost in costs)


def test_targets_of_a_family_share_their_operators() -> None:
    u55, u65, u85 = (target_by_name(name) for name in ("ethos-u55-32", "ethos-u65-512", "ethos-u85-2048"))
    assert u55.operators == u65.operators
    assert (u55.operators_from, u85.operators_from) == ("ethos-u55-u65", "ethos-u85")
    assert u55.refuses(Need("Div")) == "ethos-u55-32 has no Div"
    assert u85.refuses(Need("Div")) is None
    stride = Need("Conv", (8, 8), (8, 8))
    assert u55.refuses(stride) == "Conv stride (8, 8) is over 3"
    assert u85.refuses(stride) is None


def test_an_unknown_target_suggests_the_near_one() -> None:
    with pytest.raises(UserError, match=r"Did you mean .*onnxruntime-cpu"):
        target_by_name("onnxruntime")
