"""What every converter does: a torch network -> a model file of one engine, in float and in INT8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

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
    """

    files: Mapping[str, Path]
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    heatmap: str
    operators: Mapping[str, int]


@dataclass(frozen=True)
class Recipe:
    """How to quantize.

    Attributes:
        body: type of weights and activations in the network: "int8".
        decode: of the 16-bit part of the decode (its `moments`), or of the whole decode where the engine
            has no 16-bit kernels: "int16", "float32", or "int8" (the ruin that is shown for comparison).
    """

    body: str = "int8"
    decode: str = "int16"


def check_heatmaps(model: Path, found: tuple[int, ...] | None, heatmap: tuple[int, int, int]) -> None:
    """Refuse an ONNX-born model whose heatmaps are not [1, K, H, W] of `heatmap`.

    Raises:
        UserError: it has none, or others.
    """
    if found != (1, *heatmap):
        why = f"its heatmaps have shape {found}, not {(1, *heatmap)}"
        raise UserError(f"cannot use {model.name}", why, "export the network again")


def check_cpu_recipe(recipe: Recipe, why: str) -> None:
    """Refuse what a CPU engine has no kernels for: anything but an INT8 body with an INT8 or float decode.

    Raises:
        UserError: with `why` as the reason.
    """
    if recipe.body != "int8" or recipe.decode not in ("int8", "float32"):
        what = f"cannot quantize to {recipe.body} with a decode in {recipe.decode}"
        raise UserError(what, why, "take a recipe with body int8 and decode float32 or int8")


class Converter(Protocol):
    """One file format and its tools. Pictures are float32 NCHW [1, 3, H, W], already normalised."""

    engine: str
    """Name of the runtime engine that opens the model."""
    safe_recipe: Recipe
    """The recipe that keeps the coordinates on this engine."""
    tools: tuple[str, ...]
    """Distributions that make its files; a bundle records their versions."""

    def convert(self, network: nn.Module, decode: nn.Module, shape: Shape, folder: Path) -> ModelFiles:
        """Write the float model: network (pictures -> heatmaps) followed by decode, for pictures of that shape."""
        ...

    def describe(self, files: Mapping[str, Path], heatmap: tuple[int, int, int]) -> ModelFiles:
        """Read back a model that `convert` or `quantize` wrote, given the (K, H, W) of its heatmaps.

        Raises:
            UserError: the file is no model of this kind, or has no such heatmaps.
        """
        ...

    def quantize(
        self, source: ModelFiles, pictures: Sequence[NDArray[np.float32]], recipe: Recipe, folder: Path
    ) -> ModelFiles:
        """Write the quantized model into `folder`, its ranges taken from `pictures`."""
        ...

    def cut(self, source: ModelFiles, folder: Path) -> ModelFiles:
        """Write the same network ending at its heatmaps: what leaves it when the CPU decodes."""
        ...
