"""Converters, one file each. A module in this folder that defines CONVERTER is a converter of that name."""

from __future__ import annotations

import importlib
from dataclasses import replace

from npuface_export.converters.converter import Converter, ModelFiles, Quantizer
from npuface_export.converters.recipe import Recipe
from npuface_export.decode import DecodeForm
from npuface_export.target import Target

__all__ = ["Converter", "ModelFiles", "Quantizer", "Recipe", "converter_by_name", "target_recipe"]


def converter_by_name(name: str) -> Converter:
    """The converter that a target names. Its tools are heavy, so only this one is imported."""
    converter: Converter = importlib.import_module(f"{__name__}.{name}").CONVERTER
    return converter


def target_recipe(target: Target, form: DecodeForm | None = None) -> Recipe:
    """The recipe that keeps the coordinates on a target: its converter's, with the decode in the target's own type.

    Args:
        target: what it is for.
        form: the decode form of the model. Where 16 bits are for the moments alone, one that has none gets 8 bits.
    """
    converter = converter_by_name(target.converter)
    decode = target.decode_type or converter.safe_recipe.decode
    if decode == "int16" and converter.wide_moments_only and form is not None and not form.has_moments:
        decode = "int8"
    return replace(converter.safe_recipe, decode=decode)
