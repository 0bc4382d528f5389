"""LiteRT: what the converter makes of networks and decodes, and what quantization leaves of their coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tflite_models import (
    CELLS,
    DRAWN_SPEC,
    LITERT,
    SIZE,
    SMALL,
    STRIDE,
    Drawn,
    cells_of,
    central_pictures,
    drawn_model,
    new_folder,
    outputs_of,
    picture_of,
    quantized_model,
    small_student,
    student_model,
)

from npuface_export.converters import ModelFiles, Recipe
from npuface_export.converters.litert_types import check_types
from npuface_export.converters.tflite_graph import Graph
from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.decode.grid import exact_grid
from npuface_runtime.errors import UserError
from npuface_toolkit.augment import plain_crop
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face, read_picture, split_by_identity
from npuface_toolkit.samples import normalise
from npuface_toolkit.student import HeatmapNetwork

SPEC = HeatmapSpec(SMALL.points, SMALL.heatmap_size, SMALL.heatmap_size)
CORNERS = np.array([[[3, 3], [28, 3], [15, 28]], [[3.4, 28.3], [28, 28], [3, 14.6]]], np.float64)


def decode_operators(model: ModelFiles) -> list[str]:
    """Names of the operators after the heatmaps."""
    graph = Graph.read(model.files["model"])
    heatmaps = graph.by_name(model.heatmap)
    assert heatmaps is not None
    return [graph.operator_name(op) for op in graph.downstream([heatmaps])]


@pytest.fixture(scope="module")
def noise() -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (1, 3, SMALL.input_size, SMALL.input_size)).astype(np.float32)


@pytest.mark.parametrize("form", ["relative-threshold", "seed", "host"])
def test_float_model_gives_what_torch_gives(form: str, noise: NDArray[np.float32]) -> None:
    with torch.no_grad():
        expected = form_by_name(form).build(SPEC)(small_student()(torch.from_numpy(noise))).numpy()
    (found,) = outputs_of(student_model(form), [noise])
    assert found.shape == student_model(form).outputs[0].shape
    np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_safe_form_has_no_stray_operators() -> None:
    assert decode_operators(student_model("relative-threshold")) == [
        *["MAX_POOL_2D"] * 2,
        "MUL",
        "SUB",
        *["DEPTHWISE_CONV_2D"] * 6,
        "CONCATENATION",
    ]


def test_published_form_keeps_its_operators() -> None:
    """Its scale is not folded into the network, so that the heatmaps stay in the graph."""
    assert decode_operators(student_model("seed")) == [
        "MUL",
        "TRANSPOSE",
        "RESHAPE",
        "SOFTMAX",
        "RESHAPE",
        "TRANSPOSE",
        *["DEPTHWISE_CONV_2D"] * 2,
        "CONCATENATION",
    ]


def test_host_form_ends_at_channel_last_heatmaps() -> None:
    model = student_model("host")
    assert decode_operators(model) == []
    assert [t.name for t in model.outputs] == ["heatmaps"]
    assert model.outputs[0].shape == (1, SPEC.height, SPEC.width, SPEC.points)
    assert not {"TRANSPOSE", "RESHAPE", "MAXIMUM"} & set(model.operators)


@pytest.mark.parametrize("form", ["relative-threshold", "seed"])
def test_cut_gives_the_heatmaps(form: str, noise: NDArray[np.float32]) -> None:
    cut = LITERT.cut(student_model(form), new_folder())
    with torch.no_grad():
        expected = small_student()(torch.from_numpy(noise)).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(outputs_of(cut, [noise])[0], expected, atol=1e-5)
    assert cut.operators == student_model("host").operators


def test_cut_of_an_int8_model_is_int8() -> None:
    cut = LITERT.cut(quantized_model("relative-threshold", "int16"), new_folder())
    assert (cut.outputs[0].name, cut.outputs[0].dtype) == ("heatmaps", "int8")
    assert cut.operators == {"DEPTHWISE_CONV_2D": 2}


def test_describe_reads_back_what_was_written() -> None:
    for model in (drawn_model("relative-threshold"), quantized_model("relative-threshold", "int16")):
        assert LITERT.describe(model.files, (3, CELLS, CELLS)) == model


def test_describe_refuses_other_heatmaps() -> None:
    with pytest.raises(UserError, match=r"of shape \(1, 32, 32, 4\) is expected, that tensor is \(1, 32, 32, 3\)"):
        LITERT.describe(drawn_model("seed").files, (4, CELLS, CELLS))


def test_a_decode_that_flattens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"its output is \(1, 3072\)"):
        LITERT.convert(Drawn(), torch.nn.Flatten(), (SIZE, SIZE), tmp_path)


def test_safe_recipe_types_and_exact_weights() -> None:
    model = quantized_model("relative-threshold", "int16")
    assert (model.input.dtype, model.outputs[0].dtype, model.outputs[0].zero_point) == ("int8", "int16", 0)
    graph = Graph.read(model.files["model"])
    kinds = [{graph.dtype(tensor) for tensor in graph.activations(op)} for op in graph.operators]
    assert not any("float32" in types for types in kinds)
    weights = [graph.tensors[int(op.inputs[1])] for op in graph.operators if "CONV" in graph.operator_name(op)]
    assert {len(tensor.quantization.scale) for tensor in weights} == {3}, "weights are quantized channel by channel"
    moments = [op for op, types in zip(graph.operators, kinds, strict=True) if types == {"int16"}]
    assert [graph.operator_name(op) for op in moments] == [*["DEPTHWISE_CONV_2D"] * 4, "CONCATENATION"]
    exact = np.rint(127 * np.array(exact_grid(CELLS).weights)).astype(np.int8)
    stored = [graph.values(int(op.inputs[1])).reshape(CELLS, 3) for op in moments[:4]]
    for values, expected in zip(stored, (np.full(CELLS, 127), exact) * 2, strict=True):
        np.testing.assert_array_equal(values, np.repeat(expected[:, None], 3, axis=1))


def test_moments_have_headroom() -> None:
    output = quantized_model("relative-threshold", "int16").outputs[0]
    masses = [
        moments.reshape(5, 3)[[0, 2]] for moments in outputs_of(drawn_model("relative-threshold"), central_pictures())
    ]
    assert output.scale is not None
    assert output.scale * 32767 == pytest.approx(1.5 * np.max(masses), rel=1e-3)


@pytest.mark.parametrize(("decode", "dtype"), [("int8", "int8"), ("float32", "float32")])
def test_other_recipes_types(decode: str, dtype: str) -> None:
    model = quantized_model("relative-threshold", decode)
    assert (model.input.dtype, model.outputs[0].dtype) == ("int8", dtype)


def test_safe_form_keeps_coordinates_in_corners_it_was_not_calibrated_on() -> None:
    """And plain INT8 on the same pictures does not: the test can fail."""
    pictures = [picture_of(points, peak) for points in CORNERS for peak in (1.0, 0.7)]
    exact = cells_of(drawn_model("relative-threshold"), "relative-threshold", DRAWN_SPEC, STRIDE, pictures)
    shifts = {}
    for decode in ("int16", "int8"):
        found = cells_of(
            quantized_model("relative-threshold", decode), "relative-threshold", DRAWN_SPEC, STRIDE, pictures
        )
        shifts[decode] = np.linalg.norm(found - exact, axis=2)
    assert shifts["int16"].mean() < 0.05
    assert shifts["int16"].max() < 0.1
    assert shifts["int8"].mean() > 3 * shifts["int16"].mean()


def test_published_form_collapses_in_plain_int8() -> None:
    pictures = central_pictures(6)
    exact = cells_of(drawn_model("seed"), "seed", DRAWN_SPEC, STRIDE, pictures)
    found = cells_of(quantized_model("seed", "int8"), "seed", DRAWN_SPEC, STRIDE, pictures)
    assert np.linalg.norm(found - exact, axis=2).mean() > 1


@pytest.mark.parametrize(
    ("form", "recipe", "pictures", "reason"),
    [
        ("seed", Recipe(decode="int16"), 1, "has no moments that 16 bits could keep"),
        ("seed", Recipe(decode="int4"), 1, "with a decode in int4: TFLite's kernels are"),
        ("seed", Recipe(body="int4"), 1, "to int4 with a decode in int16: TFLite's kernels are"),
        ("relative-threshold", Recipe(decode="float16"), 1, "in float16 it only stores weights"),
        ("relative-threshold", Recipe(wide=("conv9",)), 1, "the body of the model has no such layer"),
        ("relative-threshold", Recipe(wide_type="float16"), 1, "TFLite's kernels are"),
        ("seed", Recipe(decode="int8"), 0, "there are no calibration pictures"),
    ],
)
def test_refused_requests(form: str, recipe: Recipe, pictures: int, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        LITERT.quantizer(drawn_model(form), central_pictures(pictures)).write(recipe, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "recipe", "reason"),
    [
        (drawn_model, Recipe(), "DEPTHWISE_CONV_2D stays in float32 where the recipe says int8"),
        (lambda form: quantized_model(form, "int8"), Recipe(), "stays in int8 where the recipe says int16"),
        (lambda form: quantized_model(form, "float32"), Recipe(decode="int8"), "MAX_POOL_2D stays in float32"),
    ],
)
def test_types_other_than_promised_are_refused(model: object, recipe: Recipe, reason: str) -> None:
    assert callable(model)
    with pytest.raises(UserError, match=reason):
        check_types(Graph.read(model("relative-threshold").files["model"]), recipe)


def test_trained_student_keeps_its_coordinates_on_faces_it_was_not_calibrated_on(data: Path) -> None:
    """Mean shift at most 0.10 heatmap px: the bound the project holds itself to on real faces."""
    student, info = load_student("student-68")
    network, size = HeatmapNetwork(student).eval(), info.config.input_size
    spec = HeatmapSpec(68, size // 4, size // 4, info.beta, info.threshold, info.sigma)
    faces, _ = read_faces(f"points:{data}/p1/test_frames_keypoints.csv:{data}/p1/test")
    seen, held_out = split_by_identity(faces, 0.2)
    model = LITERT.convert(network, form_by_name("relative-threshold").build(spec), (size, size), new_folder())
    ranges = crops(seen[:: len(seen) // 40], size, info.margin)
    quantized = LITERT.quantizer(model, ranges).write(Recipe(), new_folder())
    pictures = crops(held_out[:: len(held_out) // 30], size, info.margin)
    exact = cells_of(model, "relative-threshold", spec, STRIDE, pictures)
    shift = np.linalg.norm(cells_of(quantized, "relative-threshold", spec, STRIDE, pictures) - exact, axis=2)
    assert len(pictures) >= 30
    assert shift.mean() <= 0.10


def crops(faces: Sequence[Face], size: int, margin: float) -> list[NDArray[np.float32]]:
    """Normalised network inputs NCHW [1, 3, S, S]."""
    cut = [plain_crop(read_picture(face.picture), face.points, size, margin)[0] for face in faces]
    return [normalise(torch.from_numpy(picture[None])).contiguous().numpy() for picture in cut]
