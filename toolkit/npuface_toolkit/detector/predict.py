"""A checkpoint's network in torch as a detector, to measure it before it is exported."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from npuface_runtime.detectors import Detection
from npuface_runtime.detectors.boxes import fit_frame
from npuface_runtime.detectors.detector import Box
from npuface_runtime.detectors.face_maps import MapsInfo, faces_of
from npuface_toolkit.detector.network import GAIN, SIZE, STRIDE, FaceDetector
from npuface_toolkit.samples import MEAN, STD


def maps_info(network: FaceDetector) -> MapsInfo:
    """How the network's output is read."""
    height, width = network.config.cells
    return MapsInfo(height, width, STRIDE, SIZE, GAIN)


class TorchDetector:
    """A detector; see npuface_runtime.detectors.Detector."""

    def __init__(self, network: FaceDetector, min_score: float) -> None:
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
        self._info, self._min_score = maps_info(network), min_score

    @torch.no_grad()
    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """Faces in an RGB frame [H, W, 3], the surest first."""
        config = self._network.config
        picture, scale = fit_frame(frame, config.width, config.height)
        entering = torch.from_numpy(np.ascontiguousarray((picture - MEAN) / STD)).permute(2, 0, 1)[None]
        maps = self._network(entering)[0].permute(1, 2, 0).numpy()
        return faces_of(maps, self._info, scale, self._min_score)

    def to_landmark_box(self, box: Box) -> Box:
        """Its boxes are those of the landmarks."""
        return box

    def close(self) -> None:
        """Nothing to let go of."""
