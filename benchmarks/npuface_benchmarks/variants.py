"""The two ways from a network to landmarks, as they are timed: coordinates leave it, or heatmaps do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from npuface_benchmarks.cpu_decode import cpu_decode
from npuface_benchmarks.timing import Stopwatch
from npuface_runtime.engines import Session
from npuface_runtime.finish import finish_decode
from npuface_runtime.geometry import Crop
from npuface_runtime.manifest import Manifest, TensorInfo
from npuface_runtime.preprocess import prepare

Points = NDArray[np.float32]
Variant = Callable[[Stopwatch], Points]
"""One run: laps the stages prepare, network, transfer, decode and map, and returns landmarks [K, 2] in the frame."""


def coordinates_variant(manifest: Manifest, session: Session, frame: NDArray[np.uint8], crop: Crop) -> Variant:
    """The bundle as it is: its network, what leaves it copied out, the host half of its decode."""
    received = [np.empty(info.shape, info.dtype) for info in manifest.outputs]

    def run(watch: Stopwatch) -> Points:
        picture = prepare(frame, crop, manifest)
        watch.lap("prepare")
        outputs = session.run(picture)
        watch.lap("network")
        for buffer, output in zip(received, outputs, strict=True):
            np.copyto(buffer, output)
        watch.lap("transfer")
        points, _ = finish_decode(manifest, received)
        watch.lap("decode")
        landmarks = crop.to_frame(points, manifest.input_shape)
        watch.lap("map")
        return landmarks

    return run


def heatmaps_variant(
    manifest: Manifest, heatmaps: TensorInfo, session: Session, frame: NDArray[np.uint8], crop: Crop, beta: float
) -> Variant:
    """The same network ending at its heatmaps (`session`), those copied out, the decode in numpy."""
    received = np.empty(heatmaps.shape, heatmaps.dtype)
    decode = cpu_decode(manifest, heatmaps, beta)

    def run(watch: Stopwatch) -> Points:
        picture = prepare(frame, crop, manifest)
        watch.lap("prepare")
        outputs = session.run(picture)
        watch.lap("network")
        np.copyto(received, outputs[0])
        watch.lap("transfer")
        points = decode(received)
        watch.lap("decode")
        landmarks = crop.to_frame(points, manifest.input_shape)
        watch.lap("map")
        return landmarks

    return run
