"""Faces have a higher confidence than other places in their pictures, and what has none is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npuface_runtime.errors import UserError
from npuface_toolkit.confidence_range import confidence_range, main, other_place
from npuface_toolkit.face_files import read_faces


def test_faces_lie_above_other_places(data: Path, tmp_path: Path) -> None:
    faces, _ = read_faces(f"wflw:{data}/wflw/list_68pt_rect_attr.txt")
    found = confidence_range("light-68", "host", faces[::12], tmp_path / "bundle")
    assert len(found.faces) == len(faces[::12])
    assert 0.7 < np.median(found.faces) < 1.2
    assert np.median(found.elsewhere) < 0.5 * np.median(found.faces)


def test_a_form_without_confidence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it has no confidence"):
        confidence_range("light-68", "seed", [], tmp_path / "bundle")


def test_a_mistake_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["confidence_range", "light-68", "--data", "wflw:no-such-list.txt"])
    assert main() == 2
    assert "no-such-list.txt" in capsys.readouterr().err


@given(st.floats(0, 60), st.floats(0, 60), st.floats(5, 40), st.floats(5, 40), st.integers(0, 9))
def test_another_place_is_as_large_inside_and_beside(
    x: float, y: float, width: float, height: float, seed: int
) -> None:
    box = np.array([x, y, x + width, y + height], np.float32)
    other = other_place(box, (100, 100, 3), np.random.default_rng(seed))
    if other is None:
        return
    np.testing.assert_allclose(other[2:] - other[:2], box[2:] - box[:2], atol=1e-3)
    assert other.min() >= 0
    assert other.max() <= 100.001
    assert any(abs(other[:2] - box[:2]) > box[2:] - box[:2])


def test_a_box_as_large_as_its_picture_has_no_other_place() -> None:
    assert other_place(np.array([0, 0, 50, 50], np.float32), (50, 50, 3), np.random.default_rng(0)) is None
