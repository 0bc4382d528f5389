"""Face detectors in the commands that make and show bundles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npuface_runtime.bundle_manifest import bundle_format
from npuface_runtime.detectors.detector_manifest import DetectorManifest
from npuface_runtime.errors import UserError
from npuface_toolkit.cli.console import Output, given_options, table
from npuface_toolkit.cli.placement_rows import Rows, estimate_rows, file_rows, placement_rows

if TYPE_CHECKING:
    from npuface_export.target import Target


def is_detector_checkpoint(name: str) -> bool:
    """Whether a model that the user names is a detector's checkpoint."""
    from npuface_toolkit.checkpoint import checkpoint_format, find_checkpoint
    from npuface_toolkit.detector.checkpoint import FORMAT

    return not name.endswith(".onnx") and checkpoint_format(find_checkpoint(name)) == FORMAT


def is_detector_bundle(bundle: Path) -> bool:
    """Whether a folder says that it is a detector's bundle."""
    return bundle_format(bundle) == DetectorManifest.FORMAT


def refuse(what: str, options: Mapping[str, object], is_a: str = "a face detector") -> None:
    """Refuse options that are for landmark networks alone. Raises UserError with those that are given."""
    if given := given_options(options):
        raise UserError(what, f"it is {is_a}, and {given} is for landmark networks", "leave it out")


def export(name: str, target: Target, out: Path, uint8_input: bool) -> DetectorManifest:
    """A checkpoint -> a float bundle; see npuface_export.detector.export_detector."""
    from npuface_export.byte_input import with_byte_input
    from npuface_export.detector import export_detector
    from npuface_toolkit.detector.network_of import detector_network

    network = detector_network(name)
    return export_detector(with_byte_input(network) if uint8_input else network, target, out)


def quantize(result: Output, bundle: Path, calibration: Path, out: Path | None) -> DetectorManifest:
    """A float bundle -> an INT8 bundle, made the result of the command."""
    from npuface_export.detector import quantize_detector

    manifest = quantize_detector(bundle, calibration, out)
    show(result, out or bundle, manifest)
    return manifest


def explain(result: Output, bundle: Path, options: Mapping[str, object]) -> None:
    """Check a bundle's files and show it."""
    refuse(f"cannot explain {bundle} like that", options)
    manifest = DetectorManifest.load(bundle)
    for role in manifest.files:
        manifest.file(bundle, role)
    show(result, bundle, manifest)


def show(result: Output, bundle: Path, manifest: DetectorManifest) -> None:
    """Make a detector's bundle the result of a command."""
    fields = ("name", "target", "precision", "placement", "parity", "box_shift", "estimate", "recipe", "min_score")
    data: dict[str, Any] = {"bundle": str(bundle)} | {name: getattr(manifest, name) for name in fields}
    result.result(data, table(str(bundle), ("what", "value"), _rows(manifest)))


def _rows(manifest: DetectorManifest) -> Rows:
    height, width = manifest.input_shape
    maps = manifest.maps
    rows: Rows = [
        ("network", f"{manifest.name}, a face detector, {width} x {height} pixels"),
        ("target", manifest.target),
        ("precision", manifest.precision),
        ("leaves the network", f"{maps.width} x {maps.height} cells of a score and a box"),
        *placement_rows(manifest.placement),
    ]
    if manifest.parity:
        rows.append(("float parity", f"{manifest.parity['max_abs']:.1e} of the largest number, against torch"))
    if manifest.box_shift:
        shift = manifest.box_shift
        text = f"edges {shift['mean_px']:.3f} px on average, {shift['max_px']:.2f} at most, scores {shift['score']:.4f}"
        found = f"{shift['faces']:.0f} faces found by both, {shift['lost']:.0f} lost, {shift['new']:.0f} new"
        rows += [("INT8 shift", text), ("INT8 faces", found)]
    return rows + estimate_rows(manifest.estimate) + file_rows(manifest)
