"""Converters, one file each. A module in this folder that defines CONVERTER is a converter of that name."""

from __future__ import annotations

import importlib

from npuface_export.converters.converter import Converter, ModelFiles, Quantizer
from npuface_export.converters.recipe import Recipe

__all__ = ["Converter", "ModelFiles", "Quantizer", "Recipe", "converter_by_name"]


def converter_by_name(name: str) -> Converter:
    """The converter that a target names. Its tools are heavy, so only this one is imported."""
    converter: Converter = importlib.import_module(f"{__name__}.{name}").CONVERTER
    return converter
