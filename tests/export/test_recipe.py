"""Recipes: as a file, what engines refuse, what decodes and wide layers in other types cost."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_networks import small_network
from tflite_models import central_pictures, drawn_model, new_folder

from npuface_export.converters import ModelFiles, Quantizer, Recipe, converter_by_name
from npuface_export.converters.recipe import read_recipe
from npuface_export.decode import form_by_name
from npuface_runtime.engines import open_session
from npuface_runtime.errors import UserError

ENGINES = ("onnxruntime", "openvino")


def pictures(count: int) -> list[NDArray[np.float32]]:
    return [np.random.default_rng(i).standard_normal((1, 3, 64, 64)).astype(np.float32) for i in range(count)]


@cache
def small_model(engine: str) -> ModelFiles:
    network = small_network()
    decode = form_by_name("relative-threshold").build(network.spec)
    return converter_by_name(engine).convert(network.module, decode, network.input_shape, new_folder())


@cache
def small_quantizer(engine: str) -> Quantizer:
    return converter_by_name(engine).quantizer(small_model(engine), pictures(4))


@cache
def drawn_quantizer() -> Quantizer:
    return converter_by_name("litert").quantizer(drawn_model("relative-threshold"), central_pictures())


def output_of(engine: str, model: ModelFiles) -> NDArray[np.generic]:
    with open_session(engine, model.files) as session:
        return session.run(pictures(5)[4])[0]


def test_a_recipe_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('decode = "float32"\nwide = ["mix", "blur"]\n')
    assert read_recipe(path) == Recipe(decode="float32", wide=("mix", "blur"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("decode = ", "it is not TOML"),
        ('bodies = "int8"', "it has the unknown key 'bodies'"),
        ("decode = 16", "decode is 16, not the name of a type"),
        ('wide = "stem"', "wide is not a list of names"),
        ("wide = [1]", "wide is not a list of names"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=reason):
        read_recipe(path)


def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("engine", "recipe", "what"),
    [
        ("openvino", Recipe(decode="int16"), "cannot quantize to int8 with a decode in int16"),
        ("openvino", Recipe(decode="float16"), "cannot quantize to int8 with a decode in float16"),
        ("onnxruntime", Recipe(decode="int4"), "cannot quantize to int8 with a decode in int4"),
        ("onnxruntime", Recipe(decode="float32", wide_type="int16"), "cannot keep layers wide in int16"),
        ("onnxruntime", Recipe(decode="float32", wide=("mix",), wide_type="int16"), "cannot keep layers wide in int16"),
    ],
)
def test_types_are_refused_where_there_are_no_kernels(engine: str, recipe: Recipe, what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"CPU kernels .*are int8 and float32") as caught:
        small_quantizer(engine).write(recipe, tmp_path)
    assert caught.value.what == what
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_layers_that_are_not_there_are_refused(engine: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the body of the model has no such layer, it has mix, blur"):
        small_quantizer(engine).write(Recipe(decode="float32", wide=("stem",)), tmp_path)


@pytest.mark.parametrize("decode", ["int16", "float16"])
def test_decodes_of_onnxruntime_give_what_the_float_decode_gives(decode: str) -> None:
    """The INT8 body is the same, so the outputs differ by what the decode's type costs: 8 bits are far worse."""
    exact = output_of("onnxruntime", small_quantizer("onnxruntime").write(Recipe(decode="float32"), new_folder()))
    found = {
        dtype: output_of("onnxruntime", small_quantizer("onnxruntime").write(Recipe(decode=dtype), new_folder()))
        for dtype in (decode, "int8")
    }
    assert found[decode].dtype == np.float32
    errors = {dtype: float(np.abs(values - exact).mean()) for dtype, values in found.items()}
    assert errors[decode] < 2e-3 * np.abs(exact).max()
    assert errors["int8"] > 3 * errors[decode]


@pytest.mark.parametrize("engine", ENGINES)
def test_wide_layers_are_float(engine: str) -> None:
    """With the whole body wide, nothing is left of the quantization but the rounded ends."""
    quantizer = small_quantizer(engine)
    assert quantizer.layers == ("mix", "blur")
    exact = output_of(engine, small_model(engine))
    errors = []
    for wide in ((), quantizer.layers):
        model = quantizer.write(Recipe(decode="float32", wide=wide), new_folder())
        errors.append(float(np.abs(output_of(engine, model) - exact).mean()))
    assert errors[1] < 0.1 * errors[0]


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_wide_layers_of_litert(dtype: str) -> None:
    """check_types has seen that the operators have the type; the heatmaps' error is that of the input alone."""
    layers = drawn_quantizer().layers
    assert layers == ("halvings.0", "heatmaps")
    model = drawn_quantizer().write(Recipe(wide=layers[:1], wide_type=dtype), new_folder())
    assert {"CONV_2D", "DEPTHWISE_CONV_2D"} & set(model.operators)
    assert model.operators["QUANTIZE"] >= 1
