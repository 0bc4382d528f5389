"""Pictures with bright squares for faces, that a tiny detector learns in seconds."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from npuface_toolkit.detector.boxes import csv_line


def write_squares(folder: Path, count: int = 8, seed: int = 0) -> str:
    """Pictures of noise, each with one or two bright squares, and their boxes; the source as `--data` takes it."""
    rng = np.random.default_rng(seed)
    (folder / "pictures").mkdir(parents=True)
    with (folder / "boxes.csv").open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        for number in range(count):
            picture = rng.integers(0, 60, (200, 240, 3)).astype(np.uint8)
            for left in (20, 130)[: 1 + number % 2]:
                x, y, side = left + int(rng.integers(0, 20)), int(rng.integers(10, 90)), int(rng.integers(40, 80))
                picture[y : y + side, x : x + side] = (230, 210, 180)
                rows.writerow(csv_line(f"{number}.png", (x, y, x + side - 1, y + side - 1), 0.9))
            cv2.imwrite(str(folder / "pictures" / f"{number}.png"), picture)
    return f"{folder / 'boxes.csv'}:{folder / 'pictures'}"


CONFIG = """
epochs = {epochs}
pictures = 48
batch = 6
rate = 1e-2
ema = 0.5
workers = 0
held_out = 0.3
precision = "fp32"

[network]
height = 128
width = 128
channels = 0.5

[augmentation]
sizes = [10.0, 30.0]
least = 5.0
camera = 0.0
rotation = 0.0
"""
