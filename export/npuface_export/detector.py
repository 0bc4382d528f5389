"""A face detector's network -> a bundle for a target, in float and in INT8, by the same converters and compilers as the
landmark network: to them it is a network whose maps leave it as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from npuface_export.bundle import cpu_placement, tool_versions, workspace, write_bundle
from npuface_export.byte_input import spanning, takes_bytes
from npuface_export.calibrated import FLOAT_ROLES, check_int8
from npuface_export.compile import check_compiler
from npuface_export.compiled import check_kind, compiled, float_half
from npuface_export.converters import ModelFiles, converter_by_name, target_recipe
from npuface_export.detector_calibration import Frames, calibration_frames
from npuface_export.detector_shift import box_shift
from npuface_export.photograph import photograph
from npuface_export.target import Target, target_by_name
from npuface_runtime.detectors.boxes import fit_frame
from npuface_runtime.detectors.bundle_detector import BundleDetector
from npuface_runtime.detectors.detector_manifest import DetectorManifest
from npuface_runtime.detectors.face_maps import CHANNELS, MapsInfo
from npuface_runtime.engines import open_session
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import Shape

TOLERANCE = 1e-3
"""Largest difference of a number that leaves the network, relative to the largest of them, from torch's."""
Picture = NDArray[np.float32]


@dataclass(frozen=True)
class DetectorNetwork:
    """A detector in torch, and how its maps are read.

    Attributes:
        name: what the bundle is called.
        module: in evaluation mode; float32 RGB [1, 3, H, W], normalised -> [1, 5, h, w] (see MapsInfo).
        input_shape: height and width of the input in pixels.
        mean, std: per channel, in units of 0..255.
        maps: how the output is read.
        min_score: from which a cell is taken for a face.
    """

    name: str
    module: nn.Module
    input_shape: Shape
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    maps: MapsInfo
    min_score: float


def export_detector(network: DetectorNetwork, target: Target, out: Path) -> DetectorManifest:
    """Convert a detector for a target and write the bundle; one that is there is replaced.

    Raises:
        UserError: the target takes no detectors, the engine's numbers differ from torch's, or the bundle cannot be
            written.
    """
    check_kind(target, "cannot export a face detector")
    converter = converter_by_name(target.converter)
    with workspace(out) as folder:
        model = converter.convert(network.module.eval(), nn.Identity(), network.input_shape, folder)
        manifest = DetectorManifest(
            network.name,
            target.name,
            converter.engine,
            "float32",
            {},
            model.input,
            model.outputs,
            network.mean,
            network.std,
            network.maps,
            network.min_score,
            placement=cpu_placement(model) if target.runs_on_host else None,
            tools=tool_versions(converter.tools),
            device=target.device,
        )
        manifest = replace(manifest, parity={"max_abs": _parity(network, manifest, model.files)})
        return write_bundle(out, folder, manifest, model.files)


def _parity(network: DetectorNetwork, manifest: DetectorManifest, files: Mapping[str, Path]) -> float:
    """Largest difference to torch on noise and on the photograph that ships. Raises UserError where it is too large."""
    height, width = network.input_shape
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.float32)
    worst = 0.0
    with open_session(manifest.engine, files, 1) as session:
        detector = BundleDetector(manifest, session)
        for picture in (noise, fit_frame(photograph(), width, height)[0]):
            entering = torch.from_numpy(_entering(picture, network.mean, network.std))
            with torch.no_grad():
                wanted = network.module(entering)[0]
            expected = wanted.permute(1, 2, 0).numpy()
            worst = max(worst, float(np.abs(detector.maps(picture) - expected).max() / np.abs(expected).max()))
    if not worst <= TOLERANCE:
        why = f"they differ by {worst:.1e} of the largest, over {TOLERANCE:.0e}"
        raise UserError(f"the {manifest.engine} model does not give torch's numbers", why, "use other converter tools")
    return worst


def quantize_detector(bundle: Path, calibration: Path, out: Path | None = None) -> DetectorManifest:
    """Quantize a detector's bundle to INT8, measure how far its boxes move, and compile it where there is a compiler.

    Args:
        bundle: float, or already INT8: the float model stays in it.
        calibration: a folder of pictures with faces; every third one does not calibrate, the shift is measured on it.
        out: where the result goes; in place without it.

    Raises:
        UserError: the bundle is damaged, the folder has too few pictures, the target does not run INT8, or the result
            cannot be written.
    """
    manifest = DetectorManifest.load(bundle)
    target = target_by_name(manifest.target)
    check_int8(target)
    check_compiler(target)
    frames = calibration_frames(calibration, manifest.input_shape)
    out = out or bundle
    with workspace(out) as folder:
        source = float_half(manifest, bundle, (CHANNELS, manifest.maps.height, manifest.maps.width))
        converter, recipe = converter_by_name(target.converter), target_recipe(target)
        entering = [_entering(picture, manifest.mean, manifest.std) for picture in frames.calibrating]
        if takes_bytes(manifest.mean, manifest.std):
            entering = spanning(entering)
        made = converter.quantizer(source, entering).write(recipe, folder)
        int8 = replace(manifest, precision="int8", input=made.input, outputs=made.outputs)
        exact = replace(manifest, precision="float32", input=source.input, outputs=source.outputs)
        int8 = replace(
            int8,
            recipe=asdict(recipe) | {"calibration": frames.as_json()},
            box_shift=_shift(exact, source, int8, made, frames),
            tools=tool_versions(converter.tools),
            placement=cpu_placement(made) if target.runs_on_host else None,
        )
        files = {**made.files, **{FLOAT_ROLES[role]: path for role, path in source.files.items()}}
        int8, files = compiled(int8, target, files, folder)
        return write_bundle(out, folder, int8, files)


def _entering(picture: Picture, mean: Sequence[float], std: Sequence[float]) -> Picture:
    """RGB [H, W, 3] in 0..255 -> [1, 3, H, W], normalised: what quantizers take."""
    normalised = (picture - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])


def _shift(
    exact: DetectorManifest, source: ModelFiles, int8: DetectorManifest, made: ModelFiles, frames: Frames
) -> dict[str, float]:
    before, after = _maps(exact, source, frames.measured), _maps(int8, made, frames.measured)
    return box_shift(before, after, exact.maps, exact.min_score)


def _maps(manifest: DetectorManifest, model: ModelFiles, pictures: Sequence[Picture]) -> list[Picture]:
    with open_session(manifest.engine, model.files, 1) as session:
        detector = BundleDetector(manifest, session)
        return [detector.maps(picture) for picture in pictures]
