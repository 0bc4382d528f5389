"""A float bundle -> an INT8 bundle, its shift measured, compiled where the target has a compiler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from npuface_export.bundle import cpu_placement, tool_versions, workspace, write_bundle
from npuface_export.calibrated import FLOAT_ROLES, Calibrated, Quantized, calibrated, check_int8
from npuface_export.calibration import CalibrationFaces, corners, coverage
from npuface_export.compile import Faces, check_compiler, compile_model
from npuface_export.converters import Recipe, target_recipe
from npuface_export.decode import form_by_name
from npuface_export.search import Budget, Found, search_recipe
from npuface_export.shift import coordinate_shift
from npuface_export.target import target_by_name
from npuface_runtime.manifest import Manifest

_log = logging.getLogger("npuface.quantize")


def quantize_bundle(
    bundle: Path,
    calibration: Path | CalibrationFaces,
    out: Path | None = None,
    *,
    recipe: Recipe | None = None,
    budget: Callable[[Calibrated], Budget] | None = None,
) -> Manifest:
    """Quantize a bundle to INT8, measure how far its coordinates move, and compile it where there is a compiler.

    Args:
        bundle: float, or already INT8: the float model stays in it, so it can be quantized again.
        calibration: a folder of pictures with faces. Two thirds of them give the ranges, the shift is measured on
            the others; with few pictures it is measured on the same faces, and the recipe in the manifest says so.
            Or faces that were cut before, where several bundles of one network share them.
        out: where the result goes; in place without it.
        recipe: what gets which type; the target's safe recipe without it.
        budget: makes what the result may cost; the layers that `recipe` keeps wide are then searched for. A bundle
            that no recipe brings within it is written all the same: manifest.recipe["search"]["met"] is False.

    Returns:
        The new manifest.

    Raises:
        UserError: the bundle is damaged, the folder has too few faces, the target does not run INT8, the
            engine has no kernels for the recipe, or the result cannot be written.
    """
    target = target_by_name(Manifest.load(bundle).target)  # before anything is said of where the result goes
    check_int8(target)
    check_compiler(target)
    out = out or bundle
    with workspace(out) as folder:
        source = calibrated(bundle, calibration)
        recipe, found = recipe or target_recipe(target, form_by_name(source.exact.decode.form)), None
        if budget is not None:
            found = search_recipe(source, recipe, budget(source), folder)
            recipe = found.recipe
        made = source.write(recipe, folder)
        origin = "held-out calibration pictures" if source.faces.held_out else "the calibration pictures themselves"
        faces = Faces(source.faces.plain, source.float_cells, origin)
        manifest = replace(
            made.manifest,
            recipe=_recipe_record(recipe, source, found, made.model.left_in_float),
            coordinate_shift=_host_shift(made, faces),
            tools=tool_versions(source.converter.tools),
            placement=cpu_placement(made.model) if target.runs_on_host else None,
        )
        files = {**made.model.files, **{FLOAT_ROLES[role]: path for role, path in source.source.files.items()}}
        if target.compiler is not None:
            manifest, files = compile_model(manifest, target, files, folder, faces)
            manifest = _judged_by_emulator(manifest, found)
        return write_bundle(out, folder, manifest, files)


def _host_shift(made: Quantized, faces: Faces) -> dict[str, Any]:
    """The shift as the bundle's engine computes it here."""
    shift = coordinate_shift(faces.exact(faces.pictures), made.cells(faces.pictures))
    return {**shift, "oracle": f"{made.manifest.engine} on a CPU", "pictures": faces.origin}


def _judged_by_emulator(manifest: Manifest, found: Found | None) -> Manifest:
    """A budget in shift holds for what the vendor's emulator computes; the search ran on what stands in for it."""
    shift, recipe = manifest.coordinate_shift or {}, manifest.recipe or {}
    if found is None or not found.budget.is_shift or "from_stand_in_px" not in shift:
        return manifest
    figure = shift["mean_px"]
    search = {**recipe["search"], "figure": figure, "met": figure <= found.budget.limit}
    return replace(manifest, recipe={**recipe, "search": search})


def _recipe_record(recipe: Recipe, source: Calibrated, found: Found | None, floats: Sequence[str]) -> dict[str, Any]:
    """What the manifest says of the recipe, of the search for it, of what it left in float, and of the calibration."""
    if floats:
        _log.warning("left in float between operators: %s", ", ".join(floats))
    faces, maps = source.faces, source.exact.heatmap
    cells = source.float_cells(faces.varied)
    reached = corners(cells, (maps.height, maps.width))
    if reached < 4:
        _log.warning(
            "the calibration landmarks reach %d of the map's 4 corners: ranges may be too narrow there, "
            "give pictures of more faces",
            reached,
        )
    return {
        **asdict(recipe),
        **({"search": found.as_json()} if found else {}),
        **({"left_in_float": list(floats)} if floats else {}),
        "calibration": {
            "crops": len(faces.varied),
            "pictures": faces.pictures,
            "without_face": faces.without_face,
            "unreadable": faces.unreadable,
            "coverage": round(coverage(cells, (maps.height, maps.width)), 3),
            "corners": reached,
            "measured_on_other_pictures": faces.held_out,
        },
    }
