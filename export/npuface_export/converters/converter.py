"""What every converter does: a torch network -> a model file of one engine, in float and in INT8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from npuface_export.converters.recipe import Recipe
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import Shape
from npuface_runtime.manifest import TensorInfo


@dataclass(frozen=True)
class ModelFiles:
    """A converted model on disk.

    Attributes:
        files: by role, as the manifest names them (`model`, and `weights` where they are apart).
        input, outputs: its tensors.
        heatmap: name of the heatmap tensor in it.
        operators: count of each operator, in the engine's own names, without constants.
        left_in_float: of a quantized model, what is exchanged in float though its recipe does not say so.
    """

    files: Mapping[str, Path]
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    heatmap: str
    operators: Mapping[str, int]
    left_in_float: tuple[str, ...] = ()


def check_pictures(pictures: Sequence[object]) -> None:
    """Refuse to calibrate on nothing.

    Raises:
        UserError: there are no pictures.
    """
    if not pictures:
        raise UserError(
            "cannot quantize the model",
            "there are no calibration pictures",
            "give a folder with at least one picture of a face",
        )


def check_heatmaps(model: Path, found: tuple[int, ...] | None, heatmap: tuple[int, int, int]) -> None:
    """Refuse an ONNX-born model whose heatmaps are not [1, K, H, W] of `heatmap`.

    Raises:
        UserError: it has none, or others.
    """
    if found != (1, *heatmap):
        why = f"its heatmaps have shape {found}, not {(1, *heatmap)}"
        raise UserError(f"cannot use {model.name}", why, "export the network again")


class Quantizer(Protocol):
    """A float model and what its activations were on the calibration pictures: quantized by any number of recipes."""

    layers: tuple[str, ...]
    """Names of the layers of the body in the order of execution, for Recipe.wide."""

    def write(self, recipe: Recipe, folder: Path) -> ModelFiles:
        """Write the quantized model into `folder`.

        Raises:
            UserError: the engine has no kernels for the recipe, or the body no such layer.
        """
        ...


class Converter(Protocol):
    """One file format and its tools. Pictures are float32 NCHW [1, 3, H, W], already normalised."""

    engine: str
    """Name of the runtime engine that opens the model."""
    safe_recipe: Recipe
    """The recipe that keeps the coordinates on this engine."""
    wide_moments_only: bool
    """Whether a decode in int16 has 16 bits in its moments and 8 in the rest; else all of it has 16."""
    tools: tuple[str, ...]
    """Distributions that make its files; a bundle records their versions."""

    def convert(
        self, network: nn.Module, decode: nn.Module, shape: Shape, folder: Path, channels: int = 3
    ) -> ModelFiles:
        """Write the float model: network (pictures -> heatmaps) followed by decode, for pictures of that shape.

        `channels` is 3 but for networks that take something else in the place of pictures.
        """
        ...

    def describe(self, files: Mapping[str, Path], heatmap: tuple[int, int, int]) -> ModelFiles:
        """Read back a model that `convert` or `quantize` wrote, given the (K, H, W) of its heatmaps.

        Raises:
            UserError: the file is no model of this kind, or has no such heatmaps.
        """
        ...

    def quantizer(self, source: ModelFiles, pictures: Sequence[NDArray[np.float32]]) -> Quantizer:
        """Run the float model on `pictures`, whose ranges become those of the quantized model.

        Raises:
            UserError: there are no pictures.
        """
        ...

    def cut(self, source: ModelFiles, folder: Path) -> ModelFiles:
        """Write the same network ending at its heatmaps: what leaves it when the CPU decodes."""
        ...
