"""The demo's own parts: the photograph's variations can be calibrated on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from npuface_export.calibration import calibration_faces
from npuface_export.photograph import photograph
from npuface_toolkit.variations import varied, write_variations


def test_variations_are_many_faces_that_the_detector_finds(tmp_path: Path) -> None:
    write_variations(photograph(), tmp_path, 24)
    faces = calibration_faces(tmp_path, (128, 128), 1.3)
    assert faces.pictures == 24
    assert faces.without_face <= 4
    assert faces.held_out


def test_variations_are_deterministic_and_differ(astronaut: np.ndarray) -> None:
    first, again = (varied(astronaut, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - astronaut).mean() > 5
