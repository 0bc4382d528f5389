"""Converters, one file each. A module in this folder that defines CONVERTER is a converter of that name."""

from __future__ import annotations

import importlib
from dataclasses import replace

from npuface_export.converters.converter import Converter, ModelFiles, Quantizer
from npuface_export.converters.recipe import Recipe
from npuface_export.target import Target

__all__ = ["Converter", "ModelFiles", "Quantizer", "Recipe", "converter_by_name", "target_recipe"]


def converter_by_name(name: str) -> Converter:
    """The converter that a target names. Its tools are heavy, so only this one is imported."""
    converter: Converter = importlib.import_module(f"{__name__}.{name}").CONVERTER
    return converter


def target_recipe(target: Target) -> Recipe:
    """The recipe that keeps the coordinates on a target: its converter's, with the decode in the target's own type."""
    recipe = converter_by_name(target.converter).safe_recipe
    return recipe if target.decode_type is None else replace(recipe, decode=target.decode_type)
