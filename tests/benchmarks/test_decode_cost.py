"""What decode forms cost by Vela, and that the targets' cost data puts them in Vela's own order."""

from __future__ import annotations

import pytest
from torch import nn

from npuface_benchmarks.decode_cost import DecodeCost, decode_costs, markdown_costs
from npuface_benchmarks.operator_cost import cost_table, operator_costs
from npuface_export.choose import cost_of
from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.target import OperatorCost, target_by_name

TARGETS = ("ethos-u55-128", "ethos-u55-256", "ethos-u65-512", "ethos-u85-256")
CHEAPEST_FIRST = ("threshold-marginals", "relative-threshold", "seed")
SPEC = HeatmapSpec(points=16, height=32, width=32)


@pytest.fixture(scope="module")
def costs() -> list[DecodeCost]:
    """Real figures of Vela for decodes behind one convolution."""
    forms = [form_by_name(name) for name in CHEAPEST_FIRST]
    targets = [target_by_name(name) for name in TARGETS]
    return list(decode_costs(nn.Conv2d(3, SPEC.points, 1), (32, 32), SPEC, forms, targets))


@pytest.mark.parametrize("target", TARGETS)
def test_the_cost_data_has_the_order_of_velas_estimates(target: str, costs: list[DecodeCost]) -> None:
    estimated = {cost.form: sum(cost.operator_ms.values()) for cost in costs if cost.target == target}
    data = {name: cost_of(form_by_name(name), target_by_name(target), SPEC) for name in CHEAPEST_FIRST}
    assert sorted(estimated, key=lambda name: estimated[name]) == list(CHEAPEST_FIRST)
    assert sorted(data, key=lambda name: data[name]) == list(CHEAPEST_FIRST)


def test_nothing_is_on_the_cpu_and_every_figure_is_there(costs: list[DecodeCost]) -> None:
    assert len(costs) == len(TARGETS) * len(CHEAPEST_FIRST)
    for cost in costs:
        assert (cost.cpu, cost.cpu_operators, cost.refused) == (0, (), None)
        assert cost.body_ms is not None
        assert cost.decode_ms is not None
        assert cost.body_ms > 0
    assert {cost.bytes_out for cost in costs if cost.form == "threshold-marginals"} == {16 * 4 * 2}


def test_the_table_names_forms_targets_and_what_is_refused(costs: list[DecodeCost]) -> None:
    refused = DecodeCost("hierarchical", TARGETS[0], refused="stride")
    lines = markdown_costs([*costs, refused]).splitlines()
    assert lines[0].startswith("| decode form | ethos-u55-128, ms | ethos-u55-256, ms |")
    assert [line.split(" | ")[0].lstrip("| ") for line in lines[3:7]] == [*CHEAPEST_FIRST, "hierarchical"]
    assert lines[-1] == "- hierarchical on ethos-u55-128: stride"
    assert "+0." in lines[4]


def test_a_form_for_another_kind_is_left_out() -> None:
    forms, targets = [form_by_name("simcc")], [target_by_name(TARGETS[0])]
    assert list(decode_costs(nn.Conv2d(3, 16, 1), (32, 32), SPEC, forms, targets)) == []


def test_costs_of_operators_come_back_from_figures_made_of_them() -> None:
    """What is fitted is what the figures were made with; the rounding of a Quantize belongs to the convolutions."""
    true = {"Conv": OperatorCost(0.25, 2.5), "MaxPool": OperatorCost(0.5), "Sub": OperatorCost(3.0)}
    made = []
    for name in ("threshold-marginals", "relative-threshold", "seed"):
        needs = form_by_name(name).needs(SPEC)
        spent = {
            operator: 1e-6
            * sum(
                need.work * cost.work + (need.kernel[0] * need.kernel[1] if need.kernel else 0) * 16 * cost.kernel
                for need in needs
                if need.operator == operator
            )
            for operator, cost in true.items()
        }
        conv = spent.pop("Conv")
        made.append(
            DecodeCost(name, "x", operator_ms=spent | {"DepthwiseConv2D": 0.75 * conv, "Quantize": 0.25 * conv})
        )
    found = operator_costs(made, SPEC)
    for operator, cost in true.items():
        assert found[operator].work == pytest.approx(cost.work)
        assert found[operator].kernel == pytest.approx(cost.kernel, abs=1e-9)
    assert found["Relu"].work == 0
    assert "Conv = { work = 0.25, kernel = 2.5 }" in cost_table(found)
