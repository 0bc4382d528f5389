"""Memory that is used again from frame to frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Scratch:
    """Arrays by name. Each grows to the largest size that was asked for, and is then never allocated again.

    What is asked for by a name holds until the next time; use from one thread at a time.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """A contiguous array whose values are whatever was there before."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[name] = np.empty(size, np.uint8)
        return buffer[:size].view(kind).reshape(shape)
