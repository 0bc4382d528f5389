"""A face renderer -> a bundle for a target, in float and in INT8, by the landmark network's converters and compilers.

What enters is made on the host (npuface_runtime.ray_encoding): sines never run on the NPU, and every value lies in
[-1, 1], so that INT8 has one scale for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from npuface_export.bundle import cpu_placement, tool_versions, workspace, write_bundle
from npuface_export.calibrated import FLOAT_ROLES, check_int8
from npuface_export.compile import check_compiler
from npuface_export.compiled import check_kind, compiled, float_half
from npuface_export.converters import ModelFiles, Recipe, converter_by_name, target_recipe
from npuface_export.target import Target, target_by_name
from npuface_runtime.engines import open_session
from npuface_runtime.errors import UserError
from npuface_runtime.face_renderer import pixels, run_renderer
from npuface_runtime.ray_encoding import CODE_RANGE, Array, RendererRecord, network_input
from npuface_runtime.renderer_manifest import RendererManifest

TOLERANCE = 1e-4
"""Largest difference of a colour in 0..1 from the plain torch renderer."""
_CALIBRATING, _MEASURED = 40, 12
_HIGHEST_DB = 99.0
Codes = tuple[Array, Array]


@dataclass(frozen=True)
class RendererNetwork:
    """A renderer in torch.

    Attributes:
        name: what the bundle is called.
        module: in evaluation mode; float32 of the record's input shape -> RGB in 0..1, of its output shape.
        record: what the host half needs.
    """

    name: str
    module: nn.Module
    record: RendererRecord


def extreme_poses(record: RendererRecord) -> list[tuple[float, float, float]]:
    """Poses at the limits of a renderer and between them: errors hide in the middle."""
    yaws = (-record.max_yaw, -record.max_yaw / 2, 0.0, record.max_yaw / 3, record.max_yaw)
    upright = [(yaw, pitch, 0.0) for yaw in yaws for pitch in (-record.max_pitch, 0.0, record.max_pitch)]
    rolls = (-record.max_roll, record.max_roll) if record.max_roll else ()
    return upright + [(yaw, 0.0, roll) for yaw in (yaws[0], yaws[-1]) for roll in rolls]


def export_renderer(network: RendererNetwork, target: Target, out: Path) -> RendererManifest:
    """Convert a renderer for a target and write the bundle; one that is there is replaced.

    Raises:
        UserError: the target takes no renderers, the engine's pictures differ from torch's by over 1e-4, or the bundle
            cannot be written.
    """
    check_kind(target, "cannot export a renderer")
    converter, record = converter_by_name(target.converter), network.record
    _, channels, height, width = record.input_shape
    with workspace(out) as folder:
        model = converter.convert(network.module.eval(), nn.Identity(), (height, width), folder, channels)
        manifest = RendererManifest(
            network.name,
            target.name,
            converter.engine,
            "float32",
            {},
            model.input,
            model.outputs,
            record,
            placement=cpu_placement(model) if target.runs_on_host else None,
            tools=tool_versions(converter.tools),
            device=target.device,
        )
        parity = {"max_abs": _parity(network, manifest, model), "poses": float(len(extreme_poses(record)))}
        return write_bundle(out, folder, replace(manifest, parity=parity), model.files)


def _parity(network: RendererNetwork, manifest: RendererManifest, model: ModelFiles) -> float:
    """Largest difference to torch at the extreme poses. Raises UserError where it is too large."""
    record, worst = network.record, 0.0
    random = np.random.default_rng(0)
    with open_session(manifest.engine, model.files, 1) as session:
        for pose in extreme_poses(record):
            entered = network_input(record, pose, drawn_codes(record, random))
            with torch.no_grad():
                wanted = pixels(network.module(torch.from_numpy(entered)).permute(0, 2, 3, 1).numpy())
            worst = max(worst, float(np.abs(run_renderer(manifest, session, entered) - wanted).max()))
    if not worst <= TOLERANCE:
        why = f"a colour differs by {worst:.1e}, over {TOLERANCE:.0e}"
        raise UserError(f"the {manifest.engine} model does not give torch's pictures", why, "use other converter tools")
    return worst


def drawn_codes(record: RendererRecord, random: np.random.Generator) -> Codes | None:
    """Codes from N(0, I), where they enter."""
    if not record.takes_codes:
        return None
    lengths = (record.shape_codes, record.appearance_codes)
    zs, za = (random.standard_normal(n).clip(-CODE_RANGE, CODE_RANGE).astype(np.float32) for n in lengths)
    return zs, za


def quantize_renderer(bundle: Path, out: Path | None = None, recipe: Recipe | None = None) -> RendererManifest:
    """Quantize a renderer's bundle to INT8 and compile it where the target has a compiler.

    It calibrates on poses that are drawn evenly within its limits; the loss is measured on others.

    Args:
        bundle: float, or already INT8: the float model stays in it.
        out: where the result goes; in place without it.
        recipe: which layers stay finer than 8 bits; the target's own without it.

    Raises:
        UserError: the bundle is damaged, the target does not run INT8, or the result cannot be written.
    """
    manifest = RendererManifest.load(bundle)
    target = target_by_name(manifest.target)
    check_int8(target)
    check_compiler(target)
    record = manifest.renderer
    calibrating, measured = _drawn(record, _CALIBRATING, 1), _drawn(record, _MEASURED, 2)
    random = np.random.default_rng(3)
    calibrating += [network_input(record, pose, drawn_codes(record, random)) for pose in extreme_poses(record)]
    out = out or bundle
    with workspace(out) as folder:
        source = float_half(manifest, bundle, record.output_shape[1:])
        converter, chosen = converter_by_name(target.converter), recipe or target_recipe(target)
        made = converter.quantizer(source, calibrating).write(chosen, folder)
        int8 = replace(manifest, precision="int8", input=made.input, outputs=made.outputs)
        exact = replace(manifest, precision="float32", input=source.input, outputs=source.outputs)
        int8 = replace(
            int8,
            recipe=asdict(chosen) | {"calibration": {"poses": len(calibrating)}},
            fidelity=_fidelity(_pictures(exact, source, measured), _pictures(int8, made, measured)),
            tools=tool_versions(converter.tools),
            placement=cpu_placement(made) if target.runs_on_host else None,
        )
        files = {**made.files, **{FLOAT_ROLES[role]: path for role, path in source.files.items()}}
        int8, files = compiled(int8, target, files, folder)
        return write_bundle(out, folder, int8, files)


def _drawn(record: RendererRecord, count: int, seed: int) -> list[Array]:
    """Inputs of the network at poses drawn evenly within its limits."""
    random = np.random.default_rng(seed)
    limits = np.array([record.max_yaw, record.max_pitch, record.max_roll])
    poses = [tuple(float(v) for v in random.uniform(-limits, limits)) for _ in range(count)]
    return [network_input(record, (yaw, pitch, roll), drawn_codes(record, random)) for yaw, pitch, roll in poses]


def _pictures(manifest: RendererManifest, model: ModelFiles, entering: Sequence[Array]) -> list[NDArray[np.float32]]:
    with open_session(manifest.engine, model.files, 1) as session:
        return [run_renderer(manifest, session, entered) for entered in entering]


def _fidelity(exact: Sequence[Array], quantized: Sequence[Array]) -> dict[str, float]:
    """Peak signal to noise ratio of INT8 to float, dB: over all pictures, and of the worst."""
    errors = [float(((one - other) ** 2).mean()) for one, other in zip(exact, quantized, strict=True)]
    return {"psnr_db": _db(float(np.mean(errors))), "min_psnr_db": _db(max(errors)), "poses": float(len(errors))}


def _db(error: float) -> float:
    return min(_HIGHEST_DB, -10 * float(np.log10(error))) if error > 0 else _HIGHEST_DB
