"""A float bundle after calibration: what quantization, diagnosis and search start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_export.bundle import with_model
from npuface_export.byte_input import spanning, takes_bytes
from npuface_export.calibration import CalibrationFaces, Picture, calibration_faces
from npuface_export.converters import Converter, ModelFiles, Quantizer, Recipe, converter_by_name
from npuface_export.decode import HeatmapSpec
from npuface_export.parity import as_nchw
from npuface_export.shift import cells_on
from npuface_export.target import Target, target_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest
from npuface_runtime.preprocess import normalise

FLOAT_ROLES = {"model": "float", "weights": "float_weights"}
"""What the files of the float model are called in an INT8 bundle."""


@dataclass(frozen=True)
class Quantized:
    """A quantized model on disk and the manifest that describes it."""

    manifest: Manifest
    model: ModelFiles

    def cells(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """Landmarks [N, K, 2] in heatmap cells on pictures RGB [H, W, 3] in 0..255."""
        return cells_on(self.manifest, self.model.files, pictures)


@dataclass(frozen=True)
class Calibrated:
    """A float model that was calibrated.

    Attributes:
        target, converter: of the bundle.
        exact: manifest of the float model.
        source: its files.
        faces: what it was calibrated on, and what its shift is measured on.
        quantizer: writes it by any recipe.
    """

    target: Target
    converter: Converter
    exact: Manifest
    source: ModelFiles
    faces: CalibrationFaces
    quantizer: Quantizer

    def float_cells(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """Landmarks [N, K, 2] in heatmap cells of the float model on pictures RGB [H, W, 3] in 0..255."""
        return cells_on(self.exact, self.source.files, pictures)

    def write(self, recipe: Recipe, folder: Path) -> Quantized:
        """Write the model by a recipe into a folder.

        Raises:
            UserError: the engine cannot do what the recipe asks.
        """
        model = self.quantizer.write(recipe, folder)
        return Quantized(with_model(self.exact, model, "int8"), model)


def calibrated(bundle: Path, calibration: Path | CalibrationFaces) -> Calibrated:
    """Calibrate the float model of a bundle.

    Args:
        bundle: float, or already INT8: the float model stays in it.
        calibration: a folder of pictures with faces, or faces that were cut before.

    Raises:
        UserError: the bundle is damaged, the folder has too few faces, or the target does not run INT8.
    """
    manifest = Manifest.load(bundle)
    target = target_by_name(manifest.target)
    check_int8(target)
    converter = converter_by_name(target.converter)
    source, exact = float_half(manifest, bundle)
    if isinstance(calibration, CalibrationFaces):
        faces = calibration
    else:
        faces = calibration_faces(calibration, exact.input_shape, exact.preprocess.margin)
    pictures = [as_nchw(normalise(picture, exact), exact.input.layout) for picture in faces.varied]
    if takes_bytes(exact.preprocess.mean, exact.preprocess.std):
        pictures = spanning(pictures)
    return Calibrated(target, converter, exact, source, faces, converter.quantizer(source, pictures))


def check_int8(target: Target) -> None:
    """Refuse a target that does not run INT8.

    Raises:
        UserError: what to do with the float bundle instead.
    """
    if "int8" not in target.precisions:
        fix = "use the float bundle as it is" if target.compiler is None else "run npuface compile on the float bundle"
        why = f"INT8 is not made for it, only {' and '.join(target.precisions)}"
        raise UserError(f"cannot quantize for {target.name}", why, fix)


def float_half(manifest: Manifest, bundle: Path) -> tuple[ModelFiles, Manifest]:
    """The float model of a bundle, every file of the bundle checked, and the manifest that describes it.

    Raises:
        UserError: a file is damaged, or the bundle has no float model.
    """
    converter = converter_by_name(target_by_name(manifest.target).converter)
    paths = {role: manifest.file(bundle, role) for role in manifest.files}
    if manifest.precision != "float32":
        paths = {role: paths[kept] for role, kept in FLOAT_ROLES.items() if kept in paths}
        if "model" not in paths:
            raise UserError(f"cannot quantize the bundle {bundle}", "it has no float model in it", "export it again")
    maps = manifest.heatmap
    spec = HeatmapSpec(manifest.landmarks.points, maps.height, maps.width, kind=maps.kind)
    source = converter.describe(paths, spec.input_shape[1:])
    exact = replace(
        with_model(manifest, source, "float32"), recipe=None, placement=None, coordinate_shift=None, estimate=None
    )
    return source, exact
