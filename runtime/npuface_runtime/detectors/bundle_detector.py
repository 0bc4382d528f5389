"""A face detector of our own, as a bundle: the same engines, and the same NPUs, as the landmark network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.bundle import open_files
from npuface_runtime.detectors.boxes import fit_frame
from npuface_runtime.detectors.detector import Box, Detection
from npuface_runtime.detectors.detector_manifest import DetectorManifest
from npuface_runtime.detectors.face_maps import faces_of
from npuface_runtime.engines import Session
from npuface_runtime.finish import dequantize
from npuface_runtime.preprocess import normalised
from npuface_runtime.scratch import Scratch


class BundleDetector:
    """A detector; see Detector. A score is from 0 to 1. Its boxes are the tight boxes of the landmarks."""

    def __init__(self, manifest: DetectorManifest, session: Session, min_score: float | None = None) -> None:
        self._manifest, self._session = manifest, session
        self._min_score = manifest.min_score if min_score is None else min_score
        self._scratch = Scratch()

    @classmethod
    def open(
        cls, bundle: str | Path, threads: int = 1, min_score: float | None = None, on: str = "host"
    ) -> BundleDetector:
        """Open a bundle folder, on the host or on the device (see npuface_runtime.bundle.open_bundle).

        Raises:
            UserError: it is damaged, no detector's, or its engine is not there.
        """
        manifest = DetectorManifest.load(bundle)
        return cls(manifest, open_files(manifest, bundle, threads, on), min_score)

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """Faces in an RGB frame [H, W, 3], the surest first."""
        height, width = self._manifest.input_shape
        picture, scale = fit_frame(frame, width, height)
        return faces_of(self.maps(picture), self._manifest.maps, scale, self._min_score)

    def maps(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """RGB [H, W, 3] of the input's size, 0..255 -> what leaves the network, [h, w, 5]."""
        manifest = self._manifest
        entered = normalised(picture, manifest.input, manifest.mean, manifest.std, self._scratch)
        output, info = self._session.run(entered)[0][0], manifest.outputs[0]
        return dequantize(output if info.layout == "NHWC" else output.transpose(1, 2, 0), info)

    def to_landmark_box(self, box: Box) -> Box:
        """See Detector."""
        return box

    def close(self) -> None:
        """Close its model."""
        self._session.close()
