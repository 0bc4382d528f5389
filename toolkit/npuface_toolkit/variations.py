"""Variations of one photograph: calibration pictures for those who have no face data at hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def varied(frame: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One variation of an RGB picture [H, W, 3]: turned, scaled, moved, mirrored, lit and blurred differently."""
    height, width = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D(
        (width / 2, height / 2), rng.uniform(-15, 15), float(np.exp(rng.uniform(-0.4, 0.2)))
    )
    matrix[:, 2] += rng.uniform(-0.08, 0.08, 2) * (width, height)
    out = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT).astype(np.float32)
    if rng.random() < 0.5:
        out = out[:, ::-1]
    out = out * rng.uniform(0.6, 1.3) * rng.uniform(0.9, 1.1, 3) + rng.uniform(-25, 25)
    out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.1, 1.5)) + rng.normal(0, rng.uniform(0, 6), out.shape)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def write_variations(frame: NDArray[np.uint8], folder: Path, count: int, seed: int = 0) -> None:
    """Write `count` variations of an RGB picture as PNG files into a folder that exists."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        bgr = cv2.cvtColor(varied(frame, rng), cv2.COLOR_RGB2BGR)
        (folder / f"{number:03d}.png").write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
