"""Networks of somebody else, as bench takes them, that see nothing but the box of the face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class BoxPeer:
    """Hands the box on; what it says of the points is up to `decode`."""

    name, engine = "box", "numpy"

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def prepare(self, picture: NDArray[np.uint8], box: NDArray[np.float32]) -> tuple[NDArray[np.float32], object]:
        return box, None

    def run(self, entering: NDArray[np.float32]) -> NDArray[np.float32]:
        return entering

    def decode(self, outputs: NDArray[np.float32], back: object) -> NDArray[np.float32]:
        raise NotImplementedError
