"""Face detectors: OpenCV's cascade by name, our own by a bundle's folder, YuNet and UltraFace by an ONNX file."""

from __future__ import annotations

from pathlib import Path

from npuface_runtime.checks import is_file, is_folder
from npuface_runtime.detectors.bundle_detector import BundleDetector
from npuface_runtime.detectors.detector import Detection, Detector, Framing, measure_framing
from npuface_runtime.detectors.ultraface import UltraFace
from npuface_runtime.detectors.yunet import YuNet
from npuface_runtime.engines import open_session
from npuface_runtime.errors import UserError
from npuface_runtime.opencv import load_opencv

__all__ = ["Detection", "Detector", "Framing", "measure_framing", "open_detector"]

CASCADE = "cascade"
_NETWORKS: tuple[type[YuNet] | type[UltraFace], ...] = (YuNet, UltraFace)


def open_detector(name: str | Path, threads: int = 1, min_score: float | None = None) -> Detector:
    """Open a detector: "cascade", the folder of a detector's bundle, or the path of a YuNet or UltraFace ONNX file (run
    by ONNX Runtime).

    Args:
        name: see above.
        threads: CPU threads of its engine.
        min_score: below it a network's faces are dropped; its own choice without it. The cascade has no such number.

    Raises:
        UserError: there is no such file, it is neither of these, or what it needs is not installed.
    """
    if name == CASCADE:
        return _open_cascade()
    path = Path(name)
    if is_folder(path):
        return BundleDetector.open(path, threads, min_score)
    if not is_file(path):
        raise UserError(
            f"unknown detector {str(name)!r}",
            f"it is not {CASCADE!r}, and there is no such file",
            f"use {CASCADE}, a detector's bundle, or the path of a YuNet or UltraFace ONNX file",
        )
    session = open_session("onnxruntime", {"model": path}, threads)
    for network in _NETWORKS:
        if network.fits(session):
            return network(session) if min_score is None else network(session, min_score)
    outputs = ", ".join(f"{spec.name} {spec.shape}" for spec in session.outputs[:4])
    session.close()
    raise UserError(
        f"cannot use {path} as a detector",
        f"its input {session.input.shape} and outputs {outputs} are neither YuNet's nor UltraFace's",
        f"use {CASCADE}, a detector's bundle, or a YuNet or UltraFace ONNX file",
    )


def _open_cascade() -> Detector:
    load_opencv(f"cannot use the detector {CASCADE!r}")
    from npuface_runtime.detectors.cascade import Cascade

    return Cascade()
