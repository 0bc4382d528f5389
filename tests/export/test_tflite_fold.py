"""A fixed shift in front of a decode goes into the convolution that draws the maps, and nothing else does."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from tflite_models import DRAWN_SPEC, STRIDE, cells_of, drawn_model, picture_of, quantized_model

from npuface_export.converters.tflite_fold import fold_shift
from npuface_export.converters.tflite_graph import HEATMAPS, Graph

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
