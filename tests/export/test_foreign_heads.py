"""Heads of models that were not made here: what is recognised, what is left, what is read off it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from foreign_models import (
    OPSETS,
    SHAPES,
    STRIDE,
    K,
    arg_max,
    body,
    by_matrix,
    dsnt,
    kornia,
    maps_only,
    openseeface_like,
    picture,
    run,
    saved,
)

from npuface_export.foreign.graph import Graph
from npuface_export.foreign.heads import Head, find_head
from npuface_export.foreign.read import read_foreign
from npuface_runtime.errors import UserError


def read(model: onnx.ModelProto, folder: Path, named: str | None = None) -> tuple[Graph, Head]:
    foreign = read_foreign(saved(model, folder))
    return foreign.graph, find_head(foreign.graph, foreign.input_shape, named)


def left(graph: Graph, head: Head) -> list[str]:
    """The operators of the body, once the head is cut off."""
    return graph.between(graph.inputs, head.tensors).operators


def cells_of(head: Head, model: onnx.ModelProto, shape: tuple[int, int]) -> np.ndarray:
    """What the recognised decode makes of the model's own maps."""
    (maps,) = run(model, picture(*shape), *head.tensors)
    assert head.own is not None
    return head.own(head.assemble(torch.from_numpy(maps)))[0].numpy()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("opset", OPSETS)
def test_soft_argmax_as_kornia_writes_it(tmp_path: Path, opset: int, shape: tuple[int, int]) -> None:
    model = kornia(*shape, opset)
    graph, head = read(model, tmp_path)
    assert {"Softmax", "ReduceSum", "Concat"} <= set(graph.operators)
    assert left(graph, head) == ["Conv", "Relu"]
    assert (head.pattern, head.tensors, head.shape) == ("soft-argmax", ("maps",), (K, *shape))
    assert head.beta == pytest.approx(7)
    assert head.grid is not None
    corner = [(STRIDE * cells - 1) / (cells - 1) for cells in shape[::-1]]
    np.testing.assert_allclose(head.grid, [corner, [0, 0]], atol=1e-3)
    (points,) = run(model, picture(*shape))
    expected = (points[0] + 1) / 2 * (shape[1] - 1, shape[0] - 1)
    np.testing.assert_allclose(cells_of(head, model, shape), expected, atol=2e-3)


@pytest.mark.parametrize("opset", OPSETS)
def test_dsnt_with_its_half_pixels_and_two_outputs(tmp_path: Path, opset: int) -> None:
    shape = (9, 14)
    model = dsnt(*shape, opset)
    graph, head = read(model, tmp_path)
    assert left(graph, head) == ["Conv", "Relu"]
    assert (head.pattern, head.beta) == ("soft-argmax", 1)
    np.testing.assert_allclose(head.grid, [[STRIDE, STRIDE], [1.5, 1.5]], atol=1e-3)
    y, x = (np.asarray(v)[0] for v in run(model, picture(*shape)))
    expected = np.stack([((x + 1) * shape[1] - 1) / 2, ((y + 1) * shape[0] - 1) / 2], axis=1)
    np.testing.assert_allclose(cells_of(head, model, shape), expected, atol=2e-3)


@pytest.mark.parametrize("opset", [8, 13, 21])
def test_channels_last_times_a_matrix(tmp_path: Path, opset: int) -> None:
    shape = (7, 11)
    model = by_matrix(*shape, opset)
    graph, head = read(model, tmp_path)
    assert left(graph, head) in (["Conv", "Relu"], ["Conv", "Relu", "Transpose"])
    assert (head.pattern, head.shape) == ("soft-argmax", (K, *shape))
    assert head.facts["coordinates"] == "y x of each landmark"
    (points,) = run(model, picture(*shape))
    expected = points[:, ::-1] * (shape[1] - 1, shape[0] - 1)
    np.testing.assert_allclose(cells_of(head, model, shape), expected, atol=2e-3)


def test_coordinates_in_cells_say_nothing_of_pixels(tmp_path: Path) -> None:
    _, head = read(kornia(9, 12, 18, is_normalised=False), tmp_path)
    assert head.grid is None


@pytest.mark.parametrize(("opset", "is_divided"), [(8, False), (11, True), (13, True), (13, False), (21, True)])
def test_arg_max(tmp_path: Path, opset: int, is_divided: bool) -> None:
    shape = (9, 14)
    model = arg_max(*shape, opset, is_divided)
    graph, head = read(model, tmp_path)
    assert "ArgMax" in graph.operators
    assert left(graph, head) == ["Conv", "Relu"]
    assert head.pattern == "arg-max"
    (maps,) = run(model, picture(*shape), "maps")
    best = np.asarray(maps).reshape(K, -1).argmax(axis=1)
    expected = np.stack([best % shape[1], best // shape[1]], axis=1)
    np.testing.assert_allclose(cells_of(head, model, shape), expected, atol=1e-6)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("sigmoid", "last"), [(False, False), (True, False), (False, True), (True, True)])
def test_maps_that_leave(tmp_path: Path, opset: int, sigmoid: bool, last: bool) -> None:
    shape = (9, 14)
    model = maps_only(*shape, opset, sigmoid, last)
    graph, head = read(model, tmp_path)
    assert head.pattern == ("sigmoid" if sigmoid else "nhwc" if last else "plain")
    assert left(graph, head) == ["Conv", "Relu", *(["Sigmoid"] if sigmoid else [])]
    assert (head.shape, head.own) == ((K, *shape), None)


@pytest.mark.parametrize("opset", [9, 13, 21])
@pytest.mark.parametrize("is_sigmoid", [False, True])
def test_heatmaps_and_offsets_in_one_output(tmp_path: Path, opset: int, is_sigmoid: bool) -> None:
    """The published decode, from its definition: rows first, logit / 16 of the input, corner cells on the corners."""
    cells = 12
    model = openseeface_like(cells, opset, is_sigmoid)
    graph, head = read(model, tmp_path)
    assert (head.pattern, head.kind) == ("heatmap-offset", "heatmap-offset")
    assert left(graph, head) == ["Conv", "Relu", "Conv", *([] if is_sigmoid else ["Relu"])]
    (all_maps,) = run(model, picture(cells, cells))
    flat = np.asarray(all_maps, np.float64)[0].reshape(3, K, -1)
    best = flat[0].argmax(axis=1)
    p = np.clip(flat[1:, np.arange(K), best], 1e-7, 1 - 1e-7)
    rows, columns = np.log(p / (1 - p)) / 16 * (cells - 1)
    expected = np.stack([best % cells + columns, best // cells + rows], axis=1)
    assert np.abs(np.stack([columns, rows])).max() > 0.05
    near = np.abs(p - 0.5).max(axis=0) < 0.2  # within the reach of the series that stands for the logit
    found = cells_of(head, model, (cells, cells))
    np.testing.assert_allclose(found[near], expected[near], atol=5e-3)
    if is_sigmoid:
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("make", [kornia, dsnt, arg_max, by_matrix, maps_only])
def test_a_second_pass_changes_nothing(tmp_path: Path, make: Callable[..., onnx.ModelProto]) -> None:
    model = make(9, 14, 13)
    _, head = read(model, tmp_path)
    cut = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model)).extract_model(["picture"], list(head.tensors))
    again, plain = read(cut, tmp_path)
    assert (plain.tensors, plain.shape) == (head.tensors, head.shape)
    assert left(again, plain) == again.operators


def test_a_named_tensor_is_where_the_body_ends(tmp_path: Path) -> None:
    graph, head = read(kornia(9, 14, 13), tmp_path, "drawn")
    assert (head.pattern, left(graph, head)) == ("plain", ["Conv"])
    graph, head = read(kornia(9, 14, 13), tmp_path, "maps")
    assert (head.pattern, left(graph, head)) == ("soft-argmax", ["Conv", "Relu"])


def refusal(model: onnx.ModelProto, folder: Path, named: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        read(model, folder, named)
    return str(caught.value)


def test_an_unknown_decode_is_refused_with_the_reason_of_each_pattern(tmp_path: Path) -> None:
    head = "pooled = GlobalAveragePool (maps)\nsquared = Mul (pooled, pooled)"
    why = refusal(body(9, 14, 13, head, f"float[1, {K}, 1, 1] squared"), tmp_path)
    assert "the model is decoded already, and its decode is not known (outputs: squared [1, 3, 1, 1])" in why
    assert "soft-argmax: there is no Softmax; arg-max: there is no ArgMax" in why
    assert "plain: 'squared': its maps have 1 x 1 cells, not 4 to 255 a side" in why


def test_a_softmax_that_is_no_decode_is_refused(tmp_path: Path) -> None:
    """It sums over landmarks, not over cells."""
    model = body(9, 14, 13, "share = Softmax <axis = 1> (maps)", f"float[1, {K}, 9, 14] share")
    _, head = read(model, tmp_path)
    assert head.pattern == "plain"


def test_a_grid_in_unknown_units_is_refused(tmp_path: Path) -> None:
    model = kornia(9, 14, 13, is_normalised=False)
    for tensor in model.graph.initializer:
        if tensor.name in ("across", "down"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 3.7 + 100, tensor.name))
    assert "its coordinates go from 100 to 148.1 over 14 cells: no cells, pixels, 0..1 or -1..1" in refusal(
        model, tmp_path
    )


def test_a_head_that_is_not_softargmax_is_not_taken_for_one(tmp_path: Path) -> None:
    """Its grid bends: single peaks give it away."""
    model = kornia(9, 14, 13)
    for tensor in model.graph.initializer:
        if tensor.name == "across":
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) ** 3, tensor.name))
    assert "of points: its numbers do not follow the cell of a peak" in refusal(model, tmp_path)
