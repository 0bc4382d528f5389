"""Somebody else's network in a benchmark: with its own decode, on the same face and in the same run as bundles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from npuface_benchmarks.timing import Stopwatch
from npuface_benchmarks.variants import Points, Variant
from npuface_runtime.detectors.detector import Box


class PeerNetwork(Protocol):
    """An open network that is run as its authors run it.

    Attributes:
        name: what it calls itself.
        engine: what runs it here, with its version.
    """

    name: str
    engine: str

    def prepare(self, picture: NDArray[np.uint8], box: NDArray[np.float32]) -> tuple[Any, Any]:
        """An RGB frame and the box around the landmarks -> its input, and the way back to the frame."""
        ...

    def run(self, entering: Any) -> Any:
        """Its input -> its outputs."""
        ...

    def decode(self, outputs: Any, back: Any) -> NDArray[np.float32]:
        """Its outputs and the way back -> points [K, 2] in the frame."""
        ...


OpenPeer = Callable[[int], PeerNetwork]
"""Opens a peer for a number of threads."""


def peer_variant(peer: PeerNetwork, frame: NDArray[np.uint8], box: Box) -> Variant:
    """One run of a peer; laps the stages prepare, network and decode, which for a peer has the way back in it."""
    around = np.asarray(box, np.float32)

    def run(watch: Stopwatch) -> Points:
        entering, back = peer.prepare(frame, around)
        watch.lap("prepare")
        outputs = peer.run(entering)
        watch.lap("network")
        landmarks = peer.decode(outputs, back)
        watch.lap("decode")
        return landmarks

    return run
