"""A float bundle -> an INT8 bundle, its shift measured, compiled where the target has a compiler."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from npuface_export.bundle import cpu_placement, tool_versions, with_model, workspace, write_bundle
from npuface_export.calibration import CalibrationFaces, calibration_faces, coverage
from npuface_export.compile import compile_model
from npuface_export.converters import Converter, ModelFiles, Recipe, converter_by_name
from npuface_export.decode import HeatmapSpec
from npuface_export.parity import as_nchw
from npuface_export.shift import cells_on, coordinate_shift
from npuface_export.target import target_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest
from npuface_runtime.preprocess import normalise


def _faces(calibration: Path | CalibrationFaces, manifest: Manifest) -> CalibrationFaces:
    if isinstance(calibration, CalibrationFaces):
        return calibration
    return calibration_faces(calibration, manifest.input_shape, manifest.preprocess.margin)


_FLOAT_ROLES = {"model": "float", "weights": "float_weights"}
"""What the files of the float model are called in an INT8 bundle."""


def quantize_bundle(
    bundle: Path, calibration: Path | CalibrationFaces, out: Path | None = None, *, recipe: Recipe | None = None
) -> Manifest:
    """Quantize a bundle to INT8, measure how far its coordinates move, and compile it where there is a compiler.

    Args:
        bundle: float, or already INT8: the float model stays in it, so it can be quantized again.
        calibration: a folder of pictures with faces. Two thirds of them give the ranges, the shift is measured on
            the others; with few pictures it is measured on the same faces, and the recipe in the manifest says so.
            Or faces that were cut before, where several bundles of one network share them.
        out: where the result goes; in place without it.
        recipe: what gets which type; the converter's safe recipe without it.

    Returns:
        The new manifest.

    Raises:
        UserError: the bundle is damaged, the folder has too few faces, the target does not run INT8, the
            engine has no kernels for the recipe, or the result cannot be written.
    """
    manifest = Manifest.load(bundle)
    target = target_by_name(manifest.target)
    if "int8" not in target.precisions:
        raise UserError(f"cannot quantize for {target.name}", "it does not run INT8", "use the float bundle as it is")
    converter = converter_by_name(target.converter)
    recipe = recipe or converter.safe_recipe
    source, exact = _float_half(manifest, bundle, converter)
    out = out or bundle
    with workspace(out) as folder:
        faces = _faces(calibration, manifest)
        pictures = [as_nchw(normalise(picture, exact), exact.input.layout) for picture in faces.varied]
        model = converter.quantizer(source, pictures).write(recipe, folder)
        manifest = with_model(exact, model, "int8")
        shift = coordinate_shift(
            cells_on(exact, source.files, faces.plain), cells_on(manifest, model.files, faces.plain)
        )
        maps = manifest.heatmap
        reached = coverage(cells_on(exact, source.files, faces.varied), (maps.height, maps.width))
        manifest = replace(
            manifest,
            recipe=_recipe_record(recipe, faces, reached),
            coordinate_shift=shift,
            tools=tool_versions(converter.tools),
        )
        files = {**model.files, **{_FLOAT_ROLES[role]: path for role, path in source.files.items()}}
        if target.compiler is not None:
            manifest, files = compile_model(manifest, target, files, folder)
        elif not target.is_npu:
            manifest = replace(manifest, placement=cpu_placement(model))
        return write_bundle(out, folder, manifest, files)


def _float_half(manifest: Manifest, bundle: Path, converter: Converter) -> tuple[ModelFiles, Manifest]:
    """The float model of a bundle, every file of the bundle checked, and the manifest that describes it."""
    paths = {role: manifest.file(bundle, role) for role in manifest.files}
    if manifest.precision != "float32":
        paths = {role: paths[kept] for role, kept in _FLOAT_ROLES.items() if kept in paths}
        if "model" not in paths:
            raise UserError(f"cannot quantize the bundle {bundle}", "it has no float model in it", "export it again")
    maps = manifest.heatmap
    spec = HeatmapSpec(manifest.landmarks.points, maps.height, maps.width, kind=maps.kind)
    source = converter.describe(paths, spec.input_shape[1:])
    exact = replace(
        with_model(manifest, source, "float32"), recipe=None, placement=None, coordinate_shift=None, estimate=None
    )
    return source, exact


def _recipe_record(recipe: Recipe, faces: CalibrationFaces, reached: float) -> dict[str, Any]:
    """What the manifest says of the recipe and of what it was calibrated on."""
    return {
        **asdict(recipe),
        "calibration": {
            "crops": len(faces.varied),
            "pictures": faces.pictures,
            "without_face": faces.without_face,
            "unreadable": faces.unreadable,
            "coverage": round(reached, 3),
            "measured_on_other_pictures": faces.held_out,
        },
    }
