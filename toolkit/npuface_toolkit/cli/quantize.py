"""`npuface quantize`: a float bundle -> an INT8 bundle, by a recipe that is given or searched for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from npuface_runtime.bundle_manifest import BundleManifest, bundle_format
from npuface_runtime.errors import UserError
from npuface_runtime.renderer_manifest import RendererManifest
from npuface_toolkit.cli import detector_bundles, renderer_bundles
from npuface_toolkit.cli.bundles import AllowCpuOption, BundleArgument, OutOption, check_placement, show
from npuface_toolkit.cli.console import CheckFailedError, JsonOption, Output, given_options, output, table

if TYPE_CHECKING:
    from npuface_export.calibrated import Calibrated
    from npuface_export.converters import Recipe
    from npuface_export.search import Budget
    from npuface_runtime.manifest import Manifest

_TYPES = ("int8", "int16", "float16", "float32")
_SHOWN = 20
"""Layers of a diagnosis that the terminal shows; --json has all."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(quantize)


def quantize(
    bundle: BundleArgument,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="A folder of pictures with faces; a renderer needs none.")
    ] = None,
    out: OutOption = None,
    decode_type: Annotated[
        str | None,
        typer.Option("--decode-type", help="int16, float16, float32 or int8; the target's safe choice without it."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="A TOML file with body, decode, wide and wide_type.")
    ] = None,
    max_shift: Annotated[
        float | None, typer.Option("--max-shift", help="Keep as few layers wide as this mean shift takes, heatmap px.")
    ] = None,
    max_nme_increase: Annotated[
        str | None,
        typer.Option("--max-nme-increase", help="The same for the NME on --data: 1% is from 5.00 to 5.05 %."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", help="FORMAT:FILE[:PICTURES_DIR] of other people. Repeatable.")
    ] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Show what each layer costs instead of quantizing.")
    ] = False,
    allow_cpu: AllowCpuOption = None,
    as_json: JsonOption = False,
) -> None:
    """Quantize a bundle to INT8, measure the coordinate shift, and compile it where the target has a compiler.

    Exit code 1 when the compiler leaves an operator to the CPU, or no recipe is within the budget; the best that was
    found is written then.

    Example: npuface quantize bundle --calibration pictures/ --max-shift 0.05
    """
    with output(as_json, "quantizing") as result:
        asked = {"decode-type": decode_type, "recipe": recipe, "max-shift": max_shift, "data": data}
        asked |= {"max-nme-increase": max_nme_increase}
        manifest: BundleManifest | None = None
        what = f"cannot quantize {bundle}"
        if bundle_format(bundle) == RendererManifest.FORMAT:
            given = asked | {"calibration": calibration, "recipe": None, "diagnose": diagnose or None}
            detector_bundles.refuse(what, given, "a renderer of faces, which calibrates on poses")
            manifest = renderer_bundles.quantize(result, bundle, out, recipe)
        elif calibration is None:
            raise UserError(what, "no pictures are given", "add --calibration FOLDER")
        elif detector_bundles.is_detector_bundle(bundle):
            detector_bundles.refuse(what, asked | {"diagnose": diagnose or None})
            manifest = detector_bundles.quantize(result, bundle, calibration, out)
        elif diagnose:
            if ignored := given_options(asked | {"out": out, "allow-cpu": allow_cpu}):
                raise UserError(what, f"--diagnose writes nothing, so {ignored} would be ignored", "leave it out")
            _diagnose(result, bundle, calibration)
        else:
            budget = _budget(calibration, max_shift, max_nme_increase, data)
            manifest = _quantized(result, bundle, calibration, out, _recipe(bundle, decode_type, recipe), budget)
    if manifest is not None:
        _check_budget(manifest)
        check_placement(manifest, allow_cpu)


def _quantized(
    result: Output,
    bundle: Path,
    calibration: Path,
    out: Path | None,
    recipe: Recipe | None,
    budget: Callable[[Calibrated], Budget] | None,
) -> Manifest:
    from npuface_export.quantize import quantize_bundle

    manifest = quantize_bundle(bundle, calibration, out, recipe=recipe, budget=budget)
    show(result, out or bundle, manifest)
    return manifest


def _diagnose(result: Output, bundle: Path, calibration: Path) -> None:
    from npuface_export.calibrated import calibrated
    from npuface_export.diagnose import layer_errors

    source = calibrated(bundle, calibration)
    errors = layer_errors(source, source.faces.varied)
    rows = [
        (error.layer, f"{error.mean_px:.4f}", f"{error.max_px:.3f}", f"{error.share:.0%}") for error in errors[:_SHOWN]
    ]
    shown = table(
        f"Shift when one layer alone is quantized, the worst {len(rows)} of {len(errors)}",
        ("layer", "mean, heatmap px", "max", "share"),
        rows,
    )
    result.result({"bundle": str(bundle), "layers": [error.as_json() for error in errors]}, shown)


def _recipe(bundle: Path, decode_type: str | None, path: Path | None) -> Recipe | None:
    from npuface_export.converters.recipe import Recipe, read_recipe

    if decode_type not in (None, *_TYPES):
        raise UserError(f"cannot quantize {bundle}", f"{decode_type} is no type", f"take {', '.join(_TYPES)}")
    if path is None:
        return Recipe(decode=decode_type) if decode_type else None
    if decode_type is not None:
        raise UserError(
            f"cannot quantize {bundle}", "--recipe and --decode-type both name the decode's type", "give one of them"
        )
    return read_recipe(path)


def _budget(
    calibration: Path, max_shift: float | None, max_nme_increase: str | None, data: list[str] | None
) -> Callable[[Calibrated], Budget] | None:
    what = "cannot search for a recipe"
    if max_shift is not None and max_nme_increase is not None:
        raise UserError(what, "--max-shift and --max-nme-increase are both given", "give one of them")
    if (max_nme_increase is None) != (not data):
        raise UserError(what, "--max-nme-increase and --data go together", "give both, or --max-shift")
    if max_shift is not None:
        return partial(_shift_budget, limit=_positive("--max-shift", max_shift))
    if max_nme_increase is None or not data:
        return None
    return _nme_budget(calibration, _positive("--max-nme-increase", _fraction(max_nme_increase)), data)


def _shift_budget(source: Calibrated, limit: float) -> Budget:
    from npuface_export.search import shift_budget

    return shift_budget(source.faces, limit)


def _nme_budget(calibration: Path, limit: float, data: list[str]) -> Callable[[Calibrated], Budget]:
    from npuface_toolkit.nme_budget import nme_budget
    from npuface_toolkit.training_run import read_sources

    faces, scheme = read_sources(data)
    return lambda source: nme_budget(limit, faces, scheme, calibration, source.exact)


def _fraction(text: str) -> float:
    """1% or 0.01 -> 0.01; nan where it is neither."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return float("nan")


def _positive(option: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise UserError("cannot search for a recipe", f"{option} is no positive number", "give one, such as 0.05 or 1%")
    return value


def _check_budget(manifest: BundleManifest) -> None:
    search = (getattr(manifest, "recipe", None) or {}).get("search")
    if search and not search["met"]:
        raise CheckFailedError(
            f"no recipe is within the budget: the best has a {search['budget']} of {search['figure']:.4f} "
            f"with {len(search['kept_wide'])} wide layers, the limit is {search['limit']:.4f}"
        )
