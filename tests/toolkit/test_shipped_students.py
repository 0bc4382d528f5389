"""The two students that ship: what the second learned beside the first, on faces that neither saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from npuface_toolkit.checkpoint import find_checkpoint, load_student
from npuface_toolkit.evaluate import predict
from npuface_toolkit.faces import read_faces
from npuface_toolkit.metrics import face_errors
from npuface_toolkit.model_card import model_card

NAMES = ("student-68", "student-68-wild")


def test_their_cards_say_what_the_checkpoints_do() -> None:
    file = find_checkpoint("student-68-wild")
    _, info = load_student("student-68-wild")
    assert file.with_suffix(".md").read_text() == model_card(file.stem, info)
    assert "/" not in str(info.facts["start"]["name"])


def test_faces_in_the_wild_are_found_better(data: Path) -> None:
    faces, scheme = read_faces(f"wflw:{data}/wflw/list_68pt_rect_attr.txt")
    chosen = faces[::4]
    truth = np.stack([face.points for face in chosen])
    first, wild = (
        float(face_errors(np.asarray(predict(name, chosen, scheme).points), truth, scheme).mean()) for name in NAMES
    )
    print(f"NME of {len(chosen)} WFLW faces: {first:.2%} and {wild:.2%}")
    assert wild < 0.9 * first
