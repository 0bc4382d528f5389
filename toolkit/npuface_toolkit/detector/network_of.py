"""A checkpoint as the network that the export takes."""

from __future__ import annotations

from pathlib import Path

from npuface_export.detector import DetectorNetwork
from npuface_toolkit.detector.checkpoint import load_detector
from npuface_toolkit.detector.predict import maps_info
from npuface_toolkit.samples import MEAN, STD


def detector_network(name: str) -> DetectorNetwork:
    """A checkpoint's file, or a shipped name such as detector-320.

    Raises:
        UserError: it is none.
    """
    network, info = load_detector(name)
    shape = (info.config.height, info.config.width)
    mean, std = (MEAN,) * 3, (STD,) * 3
    return DetectorNetwork(Path(name).stem, network, shape, mean, std, maps_info(network), info.min_score)
