"""The main job from end to end: the shipped student, exported, quantized, compiled, run and benchmarked."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from npuface_export.calibration import calibration_faces
from npuface_export.converters.recipe import Recipe
from npuface_export.export import export_bundle
from npuface_export.photograph import photograph
from npuface_export.quantize import quantize_bundle
from npuface_export.target import target_by_name
from npuface_toolkit.student_network import student_network
from npuface_toolkit.variations import write_variations

TARGETS = ("onnxruntime-cpu", "openvino-cpu", "litert-cpu", "ethos-u55-128")
_CHECKPOINT = "student-68"
_VARIATIONS = 48

_log = logging.getLogger("npuface.demo")


def make_bundles(out: Path, calibration: Path | None, targets: Sequence[str] = TARGETS) -> list[Path]:
    """INT8 bundles of the shipped student for each target: the target's own decode form, and the published one.

    The published form is quantized as it stands, softmax and all, so that the report can show what that costs.

    Args:
        out: the folder that gets one bundle folder each.
        calibration: a folder of pictures with faces; None takes variations of the photograph.
        targets: names of targets.
    """
    if calibration is None:
        with tempfile.TemporaryDirectory() as folder:
            write_variations(photograph(), Path(folder), _VARIATIONS)
            return make_bundles(out, Path(folder), targets)
    network = student_network(_CHECKPOINT)
    _log.info("finding faces to calibrate on")
    faces = calibration_faces(calibration, network.input_shape, network.margin)
    bundles = []
    for name in targets:
        for form, recipe in ((None, None), ("seed", Recipe(decode="int8"))):
            bundle = out / (f"{name}-{form}" if form else name)
            _log.info("%s: exporting", bundle.name)
            export_bundle(network, target_by_name(name), bundle, form=form)
            _log.info("%s: quantizing", bundle.name)
            quantize_bundle(bundle, faces, recipe=recipe)
            bundles.append(bundle)
    return bundles
