"""Drawn faces to train on, where training itself is what is tested."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from npuface_toolkit.faces import Face


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> list[Face]:
    """Twelve drawn faces: dark ovals with bright dots, the points an ellipse of 68."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    made = []
    for number in range(12):
        centre = rng.uniform(60, 100, 2)
        points = (centre + np.stack([40 * np.cos(angles), 50 * np.sin(angles)], axis=1)).astype(np.float32)
        picture = np.full((160, 160, 3), 60, np.uint8)
        cv2.ellipse(picture, tuple(int(v) for v in centre), (40, 50), 0, 0, 360, (180, 170, 160), -1)
        file = folder / f"person{number}_00.png"
        cv2.imwrite(str(file), picture)
        made.append(Face(file, points, f"person{number}"))
    return made


@pytest.fixture
def source(faces: list[Face], tmp_path: Path) -> str:
    """The same faces as a data source."""
    lines = [f"{face.picture.name}," + ",".join(str(v) for v in face.points.ravel()) for face in faces]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    return f"points:{tmp_path}/labels.csv:{faces[0].picture.parent}"
