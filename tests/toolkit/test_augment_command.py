"""`npuface augment` draws a sheet of the size asked for, with points where they belong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from npuface_toolkit.augment import Augmentation
from npuface_toolkit.augment_sheet import augment_sheet
from npuface_toolkit.camera_effects import CameraEffects
from npuface_toolkit.cli import main
from npuface_toolkit.faces import Face
from npuface_toolkit.schemes import IBUG_68
from npuface_toolkit.training_config import Stage, TrainingConfig

STILL = Augmentation(1.3, 0, 0, 0, 0, 0, CameraEffects(0, 0, 0, 0, 0, 0, 0, 0))


def test_points_are_drawn_on_the_face(faces: list[Face]) -> None:
    """Green dots on the oval's edge, red ones where a point is not known; the two other pictures show the maps."""
    config = TrainingConfig((Stage(64, 1),), augmentation=STILL)
    unknown = replace(faces[0], weights=np.zeros(68, np.float32))
    sheet = augment_sheet([faces[0]], IBUG_68, config, 1, 1, 0)
    assert sheet.shape == (64, 192, 3)
    assert (sheet[:, :64] == (0, 255, 0)).all(axis=2).sum() > 40
    assert (augment_sheet([unknown], IBUG_68, config, 1, 1, 0)[:, :64] == (255, 60, 60)).all(axis=2).sum() > 40
    for maps in (sheet[:, 64:128], sheet[:, 128:]):
        bright = maps[..., 0] > 200
        assert 0.01 < bright.mean() < 0.5


def test_the_command_writes_the_sheet(source: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    with pytest.raises(SystemExit) as done:
        main(["augment", "--data", source, "--out", str(out), "--count", "5", "--columns", "2", "--json"])
    assert done.value.code == 0
    assert json.loads(capfd.readouterr().out) == {"file": str(out), "samples": 5, "faces": 12}
    picture = cv2.imread(str(out))
    assert picture is not None
    assert picture.shape == (3 * 256, 2 * 3 * 256, 3)
    assert not picture[512:, 768:].any()  # the sixth place is empty
