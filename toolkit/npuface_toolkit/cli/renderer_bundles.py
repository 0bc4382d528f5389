"""Face renderers in the commands that make and show bundles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npuface_runtime.errors import UserError
from npuface_runtime.renderer_manifest import RendererManifest
from npuface_toolkit.cli.console import Output, table
from npuface_toolkit.cli.placement_rows import Rows, estimate_rows, file_rows, placement_rows

if TYPE_CHECKING:
    from npuface_export.target import Target


def export(name: str, part: str | None, target: Target, out: Path, codes: Path | None) -> RendererManifest:
    """A checkpoint -> a float bundle; see npuface_export.renderer.export_renderer."""
    from npuface_export.renderer import export_renderer
    from npuface_toolkit.face3d.renderer_network import renderer_network

    if part != "renderer":
        why = "it is a 3D model, of which the renderer is exported" if part is None else f"it has no part {part!r}"
        raise UserError(f"cannot export {name}", why, "add --part renderer")
    return export_renderer(renderer_network(name, codes, target), target, out)


def quantize(result: Output, bundle: Path, out: Path | None, recipe: Path | None) -> RendererManifest:
    """A float bundle -> an INT8 bundle, made the result of the command."""
    from npuface_export.converters.recipe import read_recipe
    from npuface_export.renderer import quantize_renderer

    manifest = quantize_renderer(bundle, out, read_recipe(recipe) if recipe else None)
    show(result, out or bundle, manifest)
    return manifest


def explain(result: Output, bundle: Path, options: Mapping[str, object]) -> None:
    """Check a bundle's files and show it."""
    from npuface_toolkit.cli.detector_bundles import refuse

    refuse(f"cannot explain {bundle} like that", options, "a renderer of faces")
    manifest = RendererManifest.load(bundle)
    for role in manifest.files:
        manifest.file(bundle, role)
    show(result, bundle, manifest)


def show(result: Output, bundle: Path, manifest: RendererManifest) -> None:
    """Make a renderer's bundle the result of a command."""
    fields = ("name", "target", "precision", "placement", "parity", "fidelity", "estimate", "recipe")
    data: dict[str, Any] = {"bundle": str(bundle)} | {name: getattr(manifest, name) for name in fields}
    result.result(data, table(str(bundle), ("what", "value"), _rows(manifest)))


def _rows(manifest: RendererManifest) -> Rows:
    record = manifest.renderer
    codes = f"codes enter: {record.shape_codes} of shape, {record.appearance_codes} of appearance"
    rows: Rows = [
        ("network", f"{manifest.name}, a renderer of faces, {record.size} x {record.size} pixels"),
        ("kind", f"{record.kind}, {record.grid} x {record.grid} rays of {record.samples} points"),
        ("head", codes if record.takes_codes else "one, baked in"),
        ("target", manifest.target),
        ("precision", manifest.precision),
        *placement_rows(manifest.placement),
    ]
    if manifest.parity:
        rows.append(("float parity", f"{manifest.parity['max_abs']:.1e} of a colour in 0..1, against torch"))
    if manifest.fidelity:
        found = manifest.fidelity
        rows.append(("INT8 to float", f"{found['psnr_db']:.1f} dB, {found['min_psnr_db']:.1f} dB at the worst pose"))
    return rows + estimate_rows(manifest.estimate) + file_rows(manifest)
