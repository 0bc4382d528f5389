"""Recipes: which part of a model gets which type, in code or as a TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from npuface_runtime.errors import UserError

_FIX = "its keys are body, decode and wide_type (names of types) and wide (a list of layers)"


@dataclass(frozen=True)
class Recipe:
    """How to quantize.

    Attributes:
        body: type of weights and activations in the network: "int8".
        decode: of the 16-bit part of the decode (its `moments`), or of the whole decode where the engine
            has no 16-bit kernels: "int16", "float16", "float32", or "int8" (the ruin that is shown for comparison).
        wide: layers of the body that stay finer than 8 bits, by the names that the diagnosis lists.
        wide_type: their type, "int16" or "float32"; without it, int16 where the engine has it, else float32.
    """

    body: str = "int8"
    decode: str = "int16"
    wide: tuple[str, ...] = ()
    wide_type: str | None = None


def read_recipe(path: Path) -> Recipe:
    """A recipe from a TOML file whose keys are the fields of Recipe; those left out have their defaults.

    Raises:
        UserError: there is no such file, it is not TOML, or has other keys or kinds of values.
    """
    what = f"cannot read the recipe {path}"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(what, error.strerror or str(error), "give a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(what, f"it is not TOML ({error})", _FIX) from None
    unknown = sorted(set(raw) - {field.name for field in fields(Recipe)})
    if unknown:
        raise UserError(what, f"it has the unknown key {unknown[0]!r}", _FIX)
    wide = raw.pop("wide", [])
    if not isinstance(wide, list) or not all(isinstance(name, str) for name in wide):
        raise UserError(what, "wide is not a list of names", _FIX)
    for name, value in raw.items():
        if not isinstance(value, str):
            raise UserError(what, f"{name} is {value!r}, not the name of a type", _FIX)
    return Recipe(**raw, wide=tuple(wide))


def check_recipe(recipe: Recipe, decodes: tuple[str, ...], wide_types: tuple[str, ...], why: str) -> str:
    """The type of the wide layers, if an engine can do what a recipe asks.

    Args:
        decodes, wide_types: that the engine has; the first wide type is its default.
        why: what the engine has kernels for, the reason of a refusal.

    Raises:
        UserError: the engine cannot.
    """
    if recipe.body != "int8" or recipe.decode not in decodes:
        what = f"cannot quantize to {recipe.body} with a decode in {recipe.decode}"
        raise UserError(what, why, f"take body int8, decode {' or '.join(decodes)}")
    wide_type = recipe.wide_type or wide_types[0]
    if wide_type not in wide_types:
        raise UserError(
            f"cannot keep layers wide in {wide_type}",
            why,
            f"take {' or '.join(wide_types)} as wide_type, or leave it out",
        )
    return wide_type


def check_layers(recipe: Recipe, layers: tuple[str, ...]) -> None:
    """Refuse a recipe that names a layer which the model does not have.

    Raises:
        UserError: with the first of them.
    """
    for name in recipe.wide:
        if name not in layers:
            raise UserError(
                f"cannot keep the layer {name!r} wide",
                f"the body of the model has no such layer, it has {', '.join(layers[:5])}, ...",
                "npuface quantize --diagnose lists them all",
            )
