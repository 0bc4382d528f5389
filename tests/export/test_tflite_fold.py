"""A fixed shift in front of a decode goes into the convolution that draws the maps, and nothing else does."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tflite_models import (
    DRAWN_SPEC,
    LITERT,
    STRIDE,
    Drawn,
    cells_of,
    drawn_model,
    new_folder,
    outputs_of,
    picture_of,
    quantized_model,
)

from npuface_export.compilers import compiler_by_name
from npuface_export.converters import Recipe
from npuface_export.converters.tflite_fold import fold_shift
from npuface_export.converters.tflite_graph import HEATMAPS, Graph
from npuface_export.target import target_by_name
from npuface_runtime.finish import dequantize

FOLDED = ("threshold-marginals", "marginal-threshold")
POINTS = np.array([(5.0, 20.0), (16.25, 15.5), (27.0, 4.0)])


def test_the_static_threshold_costs_no_operator() -> None:
    operators = drawn_model("threshold-marginals").operators
    assert {"SUB", "RELU"}.isdisjoint(operators)
    assert {"SUB", "RELU"}.isdisjoint(quantized_model("threshold-marginals", "int16").operators)
    assert operators == {"CONCATENATION": 1, "DEPTHWISE_CONV_2D": 8}


@pytest.mark.parametrize("decode", [None, "int16"])
def test_the_folded_model_gives_the_true_points(decode: str | None) -> None:
    """The two convolutions of the network share their constants, of which one alone may change."""
    model = quantized_model("threshold-marginals", decode) if decode else drawn_model("threshold-marginals")
    found = cells_of(model, "threshold-marginals", DRAWN_SPEC, STRIDE, [picture_of(POINTS, 0.8)])
    np.testing.assert_allclose(found[0], POINTS, atol=0.05)


def test_a_maximum_that_has_to_be_computed_is_not_folded() -> None:
    graph = Graph.read(drawn_model("relative-threshold").files["model"])
    before = graph.operator_counts()
    assert before["SUB"] == 1
    assert not fold_shift(graph, HEATMAPS)
    assert graph.operator_counts() == before


def test_heatmaps_that_leave_or_are_not_there_stay_as_they_are() -> None:
    graph = Graph.read(drawn_model("host").files["model"])
    assert not fold_shift(graph, HEATMAPS)
    assert not fold_shift(graph, "nothing of that name")


def test_folding_twice_changes_nothing() -> None:
    graph = Graph.read(drawn_model("threshold-marginals").files["model"])
    again = Graph(deepcopy(graph.model))
    assert not fold_shift(again, HEATMAPS)
    assert again.operator_counts() == graph.operator_counts()


def dipping_pictures() -> list[NDArray[np.float32]]:
    """Pictures whose heatmaps go below zero, and below what a fixed threshold leaves."""
    return [picture_of(POINTS + shift, 0.9) - np.float32(0.2) for shift in range(4)]


@pytest.mark.parametrize("form", FOLDED)
def test_cut_takes_the_shift_back(form: str) -> None:
    """The same network ending at its heatmaps is to hand over what it draws, not what the decode makes of that."""
    cut = LITERT.cut(drawn_model(form), new_folder())
    assert cut.operators == {"DEPTHWISE_CONV_2D": 2}
    np.testing.assert_allclose(outputs_of(cut, dipping_pictures())[0], drawn(dipping_pictures()[0]), atol=1e-6)


@pytest.mark.parametrize("form", FOLDED)
@pytest.mark.parametrize(
    ("recipe", "dtype"),
    [
        (Recipe(), "int8"),
        (Recipe(decode="float32"), "int8"),
        (Recipe(wide=("heatmaps",)), "int16"),
        (Recipe(wide=("heatmaps",), wide_type="float32"), "float32"),
    ],
)
def test_cut_of_a_quantized_model_takes_it_back_too(form: str, recipe: Recipe, dtype: str) -> None:
    pictures = dipping_pictures()
    cut = LITERT.cut(LITERT.quantizer(drawn_model(form), pictures).write(recipe, new_folder()), new_folder())
    info = cut.outputs[0]
    assert (info.name, info.dtype) == ("heatmaps", dtype)
    found = dequantize(outputs_of(cut, pictures)[0], info)
    np.testing.assert_allclose(found, drawn(pictures[0]), atol=2 * 0.9 / 255)
    assert found.min() < -0.15


def test_the_heatmaps_of_the_cut_have_the_range_of_those_of_a_form_that_folds_nothing() -> None:
    pictures = dipping_pictures()
    cuts = [
        LITERT.cut(LITERT.quantizer(drawn_model(form), pictures).write(Recipe(), new_folder()), new_folder())
        for form in ("threshold-marginals", "relative-threshold")
    ]
    found, expected = (cut.outputs[0] for cut in cuts)
    assert found.scale == pytest.approx(expected.scale, rel=1e-4)
    assert found.zero_point == expected.zero_point


def test_vela_takes_a_model_with_a_folded_shift(tmp_path: Path) -> None:
    target, model = target_by_name("ethos-u55-128"), quantized_model("threshold-marginals", "int16")
    made = compiler_by_name("vela").compile(model.files["model"], target, tmp_path)
    assert made.placement is not None
    assert made.placement.cpu == 0


def drawn(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The heatmaps of a picture, channels last."""
    with torch.no_grad():
        return np.asarray(Drawn()(torch.from_numpy(picture)).numpy().transpose(0, 2, 3, 1))
