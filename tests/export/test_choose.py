"""Choice of the decode form: cost puts forms in order, limits and the error budget refuse them, with the figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from npuface_export.choose import BUDGET, PREFERRED, by_cost, choose_form, cost_of, form_bytes_out, measure, unfit
from npuface_export.decode import FORMS, HeatmapSpec, form_by_name
from npuface_export.decode.form import Need
from npuface_export.network import Network
from npuface_export.target import Cost, OperatorCost, OperatorLimit, Target, target_by_name
from npuface_runtime.errors import UserError

POINTS, CELLS = 6, 32
SPEC = HeatmapSpec(POINTS, CELLS, CELLS)
EVERYTHING = Target("everything", "", "litert", ("float32", "int8"), is_npu=True, source="test")


def network(decode: str | None, beta: float = 20.0) -> Network:
    return Network(
        name="drawn",
        module=nn.Identity(),
        input_shape=(CELLS, CELLS),
        heatmap_shape=(CELLS, CELLS),
        cell_scale=(1, 1),
        cell_offset=(0, 0),
        points=POINTS,
        scheme="test",
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        margin=1.0,
        threshold=0.3,
        beta=beta,
        sigma=1.5,
        decode=decode,
    )


def peaks(height: float = 1.0, pictures: int = 4) -> Tensor:
    """Gaussian peaks of that height and sigma 1.5 anywhere but at the border, [N, K, H, W]."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(6, CELLS - 7, (2, pictures, POINTS, 1, 1))
    cells = np.arange(CELLS)
    squared = (cells - x) ** 2 + (cells[:, None] - y) ** 2
    return torch.from_numpy(height * np.exp(-squared / (2 * 1.5**2))).float()


def registered(monkeypatch: pytest.MonkeyPatch, *forms: str) -> None:
    """Leave these forms alone in the registry, each dearer than the one before."""
    kept = {name: replace(FORMS[name], needs=priced(price)) for price, name in enumerate(forms)}
    monkeypatch.setattr("npuface_export.choose.FORMS", kept)


def priced(price: int) -> Callable[[HeatmapSpec], tuple[Need, ...]]:
    return lambda spec: (Need("Price", work=price * 10**9),)


def test_the_cheapest_form_that_keeps_to_the_budget_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "threshold-marginals", "relative-threshold", "seed")
    low = peaks(0.2)
    choice = choose_form(network("relative-threshold"), EVERYTHING, low)
    assert (choice.form.name, choice.warning) == ("relative-threshold", None)
    moved = measure(form_by_name("threshold-marginals"), network("relative-threshold"), EVERYTHING, low)
    assert moved.float_px is not None
    assert moved.float_px > BUDGET
    reason = (
        f"it moves the landmarks by {moved.float_px:.2g} heatmap px against the decode that the network was trained "
        f"with, over {BUDGET:g}"
    )
    assert choice.refused == ({"form": "threshold-marginals", "reason": reason},)


def test_a_form_that_keeps_to_half_the_budget_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "seed", "relative-threshold")
    own = network("relative-threshold")
    moved = measure(form_by_name("seed"), own, EVERYTHING, peaks()).worst
    choice = choose_form(own, EVERYTHING, peaks(), budget=moved / PREFERRED * 0.9)
    assert choice.form.name == "relative-threshold"
    assert choice.refused[0]["reason"].endswith("which a dearer form keeps to")
    assert choose_form(own, EVERYTHING, peaks(), budget=moved / PREFERRED * 1.1).form.name == "seed"
    registered(monkeypatch, "seed")
    assert choose_form(own, EVERYTHING, peaks(), budget=moved / PREFERRED * 0.9).form.name == "seed"


def test_a_form_that_eight_bits_ruin_is_refused_with_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "seed", "host")
    choice = choose_form(network("seed", beta=10.0), EVERYTHING, peaks(), budget=0.5)
    moved = measure(form_by_name("seed"), network("seed", beta=10.0), EVERYTHING, peaks())
    assert moved.float_px is None, "it is what forms are compared with"
    assert moved.int8_px is not None
    assert moved.int8_px > 0.5
    assert choice.form.name == "host"
    assert (
        choice.refused[0]["reason"]
        == f"8 bits move its landmarks by {moved.int8_px:.2g} heatmap px (simulated), over 0.5"
    )


def test_where_the_decode_stays_in_float_eight_bits_ruin_nothing() -> None:
    in_float = replace(EVERYTHING, converter="onnxruntime")
    moved = measure(form_by_name("seed"), network("seed"), in_float, peaks())
    assert moved.int8_px is not None
    assert moved.int8_px < 0.02


def test_where_the_target_runs_no_int8_its_8_bits_refuse_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "seed", "host")
    half = replace(EVERYTHING, precisions=("float16",))
    choice = choose_form(network("seed", beta=10.0), half, peaks())
    assert (choice.form.name, choice.refused) == ("seed", ())
    assert (choice.moved.float_px, choice.moved.int8_px) == (None, None)
    assert choice.moved.worst == 0


@pytest.mark.parametrize(
    ("spec", "fitting", "reason"),
    [
        (HeatmapSpec(3, 256, 192), {"hierarchical", "host", "marginals", "seed"}, "2 to 255 cells, not 256"),
        (HeatmapSpec(3, 64, 256, kind="simcc"), {"simcc-host"}, "2 to 255 cells, not 256"),
        (HeatmapSpec(3, 8, 300, kind="heatmap-offset"), {"heatmap-offset-host"}, "2 to 255 cells, not 300"),
        (HeatmapSpec(3, 1, 64), {"host", "marginals", "seed"}, "2 to 255 cells, not 1"),
    ],
)
def test_forms_that_cannot_decode_maps_of_a_size_say_so(spec: HeatmapSpec, fitting: set[str], reason: str) -> None:
    assert {form.name for form in by_cost(EVERYTHING, spec)} == fitting
    others = [form for form in FORMS.values() if spec.kind in form.kinds and form.name not in fitting]
    assert unfit(spec) == [
        {"form": name, "reason": f"an exact INT8 grid has {reason}"} for name in sorted(form.name for form in others)
    ]
    for form in others:
        with pytest.raises(ValueError, match=reason):
            form.build(spec)
        assert str(EVERYTHING.refuses_form(form, spec)).endswith(reason)


def test_one_block_of_rows_is_too_few_for_the_form_that_sums_blocks() -> None:
    assert unfit(HeatmapSpec(3, 3, 64)) == [
        {"form": "hierarchical", "reason": "an exact INT8 grid has 2 to 255 cells, not 1"}
    ]


def test_maps_too_large_for_a_form_are_decoded_by_another() -> None:
    large = replace(network("host"), heatmap_shape=(256, CELLS))
    maps = torch.cat([peaks(), torch.zeros(4, POINTS, 256 - CELLS, CELLS)], dim=2)
    choice = choose_form(large, EVERYTHING, maps)
    assert choice.form.name in {"hierarchical", "host", "marginals", "seed"}
    assert list(choice.refused[: len(unfit(large.spec))]) == unfit(large.spec)
    with pytest.raises(UserError) as caught:
        choose_form(large, EVERYTHING, maps, forced="relative-threshold")
    assert caught.value.what == "everything cannot run the decode form relative-threshold"
    assert caught.value.why == "an exact INT8 grid has 2 to 255 cells, not 256"
    assert "marginals" in caught.value.fix


def test_what_the_target_lacks_is_refused_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "seed", "relative-threshold")
    monkeypatch.setattr("npuface_export.choose.FORMS", {"seed": FORMS["seed"], "host": FORMS["host"]})
    npu = replace(EVERYTHING, name="tiny-npu", operators={"Mul": OperatorLimit()}, cost=Cost(byte_out=1e6))
    choice = choose_form(network("host"), npu, peaks())
    assert choice.form.name == "host"
    assert choice.refused == ({"form": "seed", "reason": "tiny-npu has no Reshape"},)


def test_forms_of_another_kind_are_not_tried() -> None:
    tried = by_cost(EVERYTHING, SPEC)
    assert all("heatmaps" in form.kinds for form in tried)
    for_simcc = by_cost(EVERYTHING, replace(SPEC, kind="simcc"))
    assert for_simcc
    assert all("simcc" in form.kinds for form in for_simcc)
    reason = EVERYTHING.refuses_form(form_by_name("seed"), replace(SPEC, kind="simcc"))
    assert reason == "it decodes heatmaps, not simcc"


def test_a_forced_form_over_the_budget_is_taken_with_a_warning() -> None:
    choice = choose_form(network("relative-threshold"), EVERYTHING, peaks(0.2), forced="threshold-marginals")
    assert choice.form.name == "threshold-marginals"
    assert choice.refused == ()
    assert str(choice.warning).startswith("it moves the landmarks by ")
    assert choose_form(network("relative-threshold"), EVERYTHING, peaks(), forced="relative-threshold").warning is None


def test_a_forced_form_that_cannot_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("npuface_export.choose.FORMS", {"seed": FORMS["seed"], "host": FORMS["host"]})
    npu = replace(EVERYTHING, name="tiny-npu", operators={"Conv": OperatorLimit()})
    with pytest.raises(UserError) as caught:
        choose_form(network(None), npu, peaks(), forced="seed")
    assert caught.value.what == "tiny-npu cannot run the decode form seed"
    assert caught.value.why == "tiny-npu has no Mul"
    assert caught.value.fix == "use host"


def test_where_every_form_is_over_the_budget_the_nearest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "seed", "threshold-marginals")
    own, low = network("relative-threshold", beta=5.0), peaks(0.2)
    worst = {name: measure(form_by_name(name), own, EVERYTHING, low).worst for name in ("seed", "threshold-marginals")}
    nearest = min(worst, key=lambda name: worst[name])
    with pytest.raises(UserError) as caught:
        choose_form(own, EVERYTHING, low)
    assert caught.value.what == f"no decode form keeps drawn within {BUDGET:g} heatmap px on everything"
    assert caught.value.why == f"the nearest is {nearest}, with {worst[nearest]:.2g}"
    assert caught.value.fix == f"force it with --decode {nearest}, or give a larger --max-decode-error"


def test_the_models_own_decode_comes_before_the_name_of_one() -> None:
    shifted = replace(
        network("relative-threshold"),
        own_points=lambda maps: form_by_name("relative-threshold").points(maps, SPEC) + 1,
    )
    moved = measure(form_by_name("relative-threshold"), shifted, EVERYTHING, peaks())
    assert moved.float_px == pytest.approx(2**0.5, abs=1e-4)
    assert moved.reference == "the model's own decode"


def test_where_no_decode_is_known_one_that_adapts_to_the_peaks_stands_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "threshold-marginals", "relative-threshold")
    choice = choose_form(network(None), EVERYTHING, peaks(0.2))
    assert (choice.form.name, choice.moved.float_px) == ("relative-threshold", None)
    assert choice.moved.reference == "relative-threshold with the threshold 0.3"
    assert "heatmap px against relative-threshold with the threshold 0.3, over 0.1" in choice.refused[0]["reason"]


def test_a_network_that_draws_no_peak_is_refused() -> None:
    with pytest.raises(UserError, match="it draws no peak in any heatmap"):
        choose_form(network("relative-threshold"), EVERYTHING, -1 - peaks())


def test_a_form_that_gives_no_number_is_over_every_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = replace(FORMS["host"], points=lambda maps, spec: torch.full((len(maps), POINTS, 2), torch.nan))
    monkeypatch.setattr("npuface_export.choose.FORMS", {"host": lost})
    with pytest.raises(UserError, match="no decode form keeps drawn within 100 heatmap px"):
        choose_form(network("relative-threshold"), EVERYTHING, peaks(), budget=100)


def test_cost_is_work_kernels_and_bytes() -> None:
    cost = Cost({"Conv": OperatorCost(work=2.0, kernel=10.0), "Relu": OperatorCost(work=0.0)}, byte_out=3.0)
    needs = (Need("Conv", (4, 1), (1, 1), work=100), Need("Relu", work=7), Need("Unknown", work=5))
    assert cost.of(needs, points=6, bytes_out=11) == 2 * 100 + 10 * 4 * 6 + 5 + 3 * 11


@pytest.mark.parametrize(
    ("form", "values", "size"),
    [("host", POINTS * CELLS**2, 1), ("seed", 2 * POINTS, 1), ("threshold-marginals", 4 * POINTS, 2)],
)
def test_bytes_out(form: str, values: int, size: int) -> None:
    assert form_bytes_out(form_by_name(form), SPEC) == values * size


def test_the_order_follows_the_targets_data() -> None:
    cheap_softmax = replace(EVERYTHING, cost=Cost({name: OperatorCost(0.0) for name in ("Softmax", "Reshape", "Conv")}))
    dear_softmax = replace(EVERYTHING, cost=Cost({"Softmax": OperatorCost(1000.0)}))
    names = {name: [form.name for form in by_cost(target, SPEC)] for name, target in _both(cheap_softmax, dear_softmax)}
    assert names["cheap"].index("centred") < names["cheap"].index("relative-threshold")
    assert names["dear"].index("centred") > names["dear"].index("relative-threshold")
    assert set(names["cheap"]) == set(names["dear"])


def _both(cheap: Target, dear: Target) -> list[tuple[str, Target]]:
    return [("cheap", cheap), ("dear", dear)]


@pytest.mark.parametrize("name", ["ethos-u55-128", "ethos-u55-256", "ethos-u65-512", "ethos-u85-256", "litert-cpu"])
def test_the_safe_forms_come_before_the_published_one_and_the_host(name: str) -> None:
    spec = HeatmapSpec(98, 64, 64)
    order = [form.name for form in by_cost(target_by_name(name), spec)]
    assert order.index("threshold-marginals") < order.index("relative-threshold")
    assert order.index("relative-threshold") < min(order.index("seed"), order.index("host"))
    costs = [cost_of(form, target_by_name(name), spec) for form in by_cost(target_by_name(name), spec)]
    assert costs == sorted(costs)
