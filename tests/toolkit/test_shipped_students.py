"""The students that ship: their cards, and what they do on faces that they never saw, of another data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from npuface_toolkit.checkpoint import find_checkpoint, load_student
from npuface_toolkit.evaluate import predict
from npuface_toolkit.faces import read_faces
from npuface_toolkit.metrics import face_errors
from npuface_toolkit.model_card import model_card

WILD = {"student-68": 0.08, "light-68": 0.085}
"""NME that a student must keep to on every fourth of the WFLW faces; a full one of p1 alone has 9 %."""


@pytest.mark.parametrize("name", WILD)
def test_the_card_says_what_the_checkpoint_does(name: str) -> None:
    file = find_checkpoint(name)
    _, info = load_student(name)
    assert file.with_suffix(".md").read_text() == model_card(file.stem, info)
    start = info.facts["start"]
    assert start is None or "/" not in str(start["name"])


@pytest.mark.parametrize("name", WILD)
def test_faces_in_the_wild_are_found(name: str, data: Path) -> None:
    faces, scheme = read_faces(f"wflw:{data}/wflw/list_68pt_rect_attr.txt")
    chosen = faces[::4]
    truth = np.stack([face.points for face in chosen])
    nme = float(face_errors(np.asarray(predict(name, chosen, scheme).points), truth, scheme).mean())
    print(f"{name}: NME of {len(chosen)} WFLW faces {nme:.2%}")
    assert nme < WILD[name]
