"""NPUFace on a camera: numpy and one engine.

with FaceAligner("bundle") as aligner:
    for face in aligner.align(frame):
        print(face.landmarks)

with FaceRenderer("renderer") as renderer:
    picture = renderer.render(yaw=20)

with FaceTracker("bundle") as tracker, Pipeline("film.mp4", tracker) as frames:
    for frame in frames:
        print([(face.id, face.landmarks) for face in frame.faces])
"""

from __future__ import annotations

from npuface_runtime.aligner import Face, FaceAligner
from npuface_runtime.bundle import open_bundle
from npuface_runtime.detectors import Detection, Detector, open_detector
from npuface_runtime.engines import Session, open_session
from npuface_runtime.errors import EngineError, UserError
from npuface_runtime.face_renderer import FaceRenderer
from npuface_runtime.finish import finish_decode
from npuface_runtime.frames import as_rgb
from npuface_runtime.geometry import Crop, box_of_points, crop_of_box
from npuface_runtime.install import install_bundle
from npuface_runtime.landmarker import Landmarker
from npuface_runtime.manifest import Manifest
from npuface_runtime.pipeline import Pipeline, TrackedFrame
from npuface_runtime.preprocess import prepare
from npuface_runtime.smoothing import Smoothing
from npuface_runtime.sources import RawFrames, Source, open_source
from npuface_runtime.tracker import FaceTracker, TrackedFace
from npuface_runtime.tracking import Tracking

__all__ = [
    "Crop",
    "Detection",
    "Detector",
    "EngineError",
    "Face",
    "FaceAligner",
    "FaceRenderer",
    "FaceTracker",
    "Landmarker",
    "Manifest",
    "Pipeline",
    "RawFrames",
    "Session",
    "Smoothing",
    "Source",
    "TrackedFace",
    "TrackedFrame",
    "Tracking",
    "UserError",
    "as_rgb",
    "box_of_points",
    "crop_of_box",
    "finish_decode",
    "install_bundle",
    "open_bundle",
    "open_detector",
    "open_session",
    "open_source",
    "prepare",
]
