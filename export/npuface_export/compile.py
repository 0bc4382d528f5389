"""The vendor compiler's step: a model -> what the NPU runs, where each operator went, its cost, its landmarks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuface_export.bundle import workspace, write_bundle
from npuface_export.calibrated import float_half
from npuface_export.calibration import Picture, spread
from npuface_export.compilers import Compilation, compiler_by_name
from npuface_export.converters import target_recipe
from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.photograph import face_crops
from npuface_export.shift import cells_of, cells_on, coordinate_shift
from npuface_export.target import Target, target_by_name
from npuface_runtime.bundle_manifest import BundleManifest
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest
from npuface_runtime.preprocess import normalised

EMULATED_FACES = 24
"""Faces that go through a vendor's emulator, which takes from a tenth of a second to several for each."""
APART = 0.25
"""Heatmap px, on average, that an emulator may be further from the host than the host's integers are from float.

Two ways of rounding differ by about what rounding costs: a few hundredths, more where a network takes INT8 badly.
"""
_DEVICE = "device"


@dataclass(frozen=True)
class Faces:
    """What a compiled model's landmarks are measured on.

    Attributes:
        pictures: cut faces, RGB [H, W, 3] in 0..255.
        exact: pictures -> landmarks [N, K, 2] in heatmap cells of the float model.
        origin: where they come from, for people.
    """

    pictures: Sequence[Picture]
    exact: Callable[[Sequence[Picture]], NDArray[np.float32]]
    origin: str


def compile_bundle(
    bundle: Path,
    out: Path | None = None,
    *,
    target: Target | None = None,
    pictures: Sequence[Picture] | None = None,
) -> Manifest:
    """Run the vendor's compiler on a bundle, again or for the first time, or for another chip of the same kind.

    Args:
        bundle: made by quantize_bundle, or by export_bundle for a target that computes in float.
        out: where the result goes; in place without it.
        target: another one that takes the same model file; the bundle's own without it.
        pictures: cut faces, RGB [H, W, 3] in 0..255, that an emulator measures the shift on; without them those that
            ship (see photograph.py): the ones that the bundle was measured on are not in it.

    Returns:
        The new manifest.

    Raises:
        UserError: the bundle is damaged or of a type that the target does not run, the other target is of another kind,
            the target has no compiler, or the compiler fails.
    """
    manifest = Manifest.load(bundle)
    target = _retargeted(manifest, target)
    if target.compiler is None:
        raise UserError(
            f"cannot compile for {target.name}", f"{manifest.engine} runs the model as it is", "use the bundle as it is"
        )
    check_compiler(target)
    if manifest.precision == "float32" and "float16" not in target.precisions:
        raise UserError(f"cannot compile the bundle {bundle}", "it is not INT8", "run npuface quantize on it first")
    files = {role: manifest.file(bundle, role) for role in (*manifest.files, target.compiles)}
    if target.compiles == "float" and not pictures:
        why = "its compiler measures ranges on pictures of faces, as many as there are"
        raise UserError(f"cannot compile the bundle {bundle}", why, "run npuface quantize with --calibration PICTURES")
    crops = pictures or face_crops(manifest.input_shape, manifest.preprocess.margin)
    origin = "pictures that were given" if pictures else "the photograph that ships with scikit-image"
    faces = Faces(crops, lambda some: _float_cells(manifest, bundle, some), origin)
    out = out or bundle
    with workspace(out) as folder:
        aimed = replace(manifest, target=target.name, device=target.device)
        compiled, files = compile_model(aimed, target, files, folder, faces)
        return write_bundle(out, folder, compiled, files)


def _retargeted(manifest: Manifest, target: Target | None) -> Target:
    """The target to compile for. Raises UserError where it takes another model file than the bundle holds."""
    own = target_by_name(manifest.target)
    if target is None or target == own:
        return own
    maps = manifest.heatmap
    spec = HeatmapSpec(manifest.landmarks.points, maps.height, maps.width, kind=maps.kind)
    form = form_by_name(manifest.decode.form)
    why = target.refuses_form(form, spec)
    decode = (manifest.recipe or {}).get("decode", target_recipe(own, form).decode)
    if (target.converter, target.compiles, target_recipe(target, form).decode) != (own.converter, own.compiles, decode):
        why = f"{own.name} and {target.name} take different model files"
    elif manifest.precision == "int8" and "int8" not in target.precisions:
        why = f"{target.name} does not run INT8"
    if why:
        fix = f"export the network for {target.name}"
        raise UserError(f"cannot compile a bundle for {own.name} for {target.name}", why, fix)
    return target


def _float_cells(manifest: Manifest, bundle: Path, pictures: Sequence[Picture]) -> NDArray[np.float32]:
    source, exact = float_half(manifest, bundle)
    return cells_on(exact, source.files, pictures)


def check_compiler(target: Target) -> None:
    """Refuse early, before anything is computed, where a target's compiler is not installed.

    Raises:
        UserError: it is not; the fix is the one command that installs it.
    """
    if target.compiler is not None:
        compiler_by_name(target.compiler).version()


def cpu_refusals(manifest: BundleManifest, allowed: Collection[str] = ()) -> list[str]:
    """Operators that an NPU bundle leaves to the CPU and that are not allowed there, each with the compiler's reason.

    Args:
        manifest: of a bundle of any kind.
        allowed: operators by the model file's names.
    """
    placement = manifest.placement
    if placement is None or not target_by_name(manifest.target).is_npu:
        return []
    unexplained = [{"operator": name, "count": "some", "reason": None} for name in placement["cpu_operators"]]
    return [
        f"{entry['count']} {entry['operator']} on the CPU: {entry['reason'] or 'no reason given'}"
        for entry in placement.get("reasons", unexplained)
        if entry["operator"] not in allowed
    ]


def oracle_refusal(manifest: Manifest) -> str | None:
    """Why the vendor's emulator says that the NPU computes something else than the model; None if it does not.

    Compiling proves nothing: tools have compiled networks without a word that then computed something else.
    """
    shift = manifest.coordinate_shift or {}
    apart, rounding = shift.get("from_stand_in_px"), shift.get("stand_in_px", 0.0)
    if apart is None or apart <= APART + rounding:
        return None
    return (
        f"{shift['oracle']} puts the landmarks {apart:.2f} heatmap px from where the bundle's model puts them on a "
        f"host, which is {rounding:.2f} from float: what was compiled computes something else than the model"
    )


def compile_model(
    manifest: Manifest, target: Target, files: Mapping[str, Path], folder: Path, faces: Faces
) -> tuple[Manifest, dict[str, Path]]:
    """Compile the model among `files` for a target that has a compiler, and measure what its emulator makes of faces.

    Returns:
        The manifest with placement, estimate and shift, and the files with the compiled one, which lies in `folder`.

    Raises:
        UserError: the compiler is missing or fails.
    """
    if target.compiler is None:
        raise ValueError(f"{target.name} has no compiler")
    compiler = compiler_by_name(target.compiler)
    pictures = spread(faces.pictures, EMULATED_FACES) if compiler.emulates else []
    entered = [_entering(manifest, target, picture) for picture in pictures]
    made = compiler.compile(files[target.compiles], target, folder, entered)
    stand_in = {role: files[role] for role in ("model", "weights") if role in files}
    manifest = replace(
        manifest,
        placement=made.placement.as_json() if made.placement else None,
        estimate=made.estimate.as_json() if made.estimate else None,
        tools={**manifest.tools, target.compiler: made.version},
        coordinate_shift=_emulated_shift(made, manifest, stand_in, pictures, faces) or manifest.coordinate_shift,
    )
    return manifest, {**files, _DEVICE: made.artifact}


def _entering(manifest: Manifest, target: Target, picture: Picture) -> NDArray[Any]:
    """A picture as the file that the target compiles takes it: in float where that is the float model."""
    info, how = manifest.input, manifest.preprocess
    if target.compiles == "float":
        info = replace(info, dtype="float32", scale=None, zero_point=None)
    return normalised(picture, info, how.mean, how.std)


def _emulated_shift(
    made: Compilation, manifest: Manifest, stand_in: Mapping[str, Path], pictures: Sequence[Picture], faces: Faces
) -> dict[str, object] | None:
    """The shift of what the emulator gave against the float model, and how far it is from what stands in for the NPU
    on a host; None where there is no emulator.
    """
    if made.emulation is None or not made.emulation.outputs:
        return None
    exact, emulated = faces.exact(pictures), cells_of(manifest, made.emulation.outputs)
    on_host = cells_on(manifest, stand_in, pictures)
    return {
        **coordinate_shift(exact, emulated),
        "oracle": made.emulation.oracle,
        "pictures": faces.origin,
        "from_stand_in_px": coordinate_shift(on_host, emulated)["mean_px"],
        "stand_in_px": coordinate_shift(exact, on_host)["mean_px"],
    }
