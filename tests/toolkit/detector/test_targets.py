"""What the detector is taught: peaks where faces are, boxes that decode to theirs, nothing where nobody knows."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from npuface_toolkit.detector.network import GAIN, SIZE, STRIDE, boxes_of
from npuface_toolkit.detector.targets import draw_targets

CELLS = (16, 20)


def test_a_face_has_one_peak_at_its_centre_and_weights_of_one() -> None:
    box = np.array([[40, 30, 79, 69]], np.float32)
    targets = draw_targets(box, np.array([True]), CELLS)
    assert np.unravel_index(targets.peaks.argmax(), CELLS) == (50 // STRIDE, 60 // STRIDE)
    assert (targets.peaks == 1).sum() == 1
    np.testing.assert_allclose(targets.weights.sum(), 1, rtol=1e-6)
    np.testing.assert_array_equal(targets.boxes[targets.weights > 0], np.repeat(box, (targets.weights > 0).sum(), 0))
    assert targets.counted.all()


def test_the_smaller_of_two_faces_wins_its_cells() -> None:
    boxes = np.array([[0, 0, 127, 127], [56, 56, 71, 71]], np.float32)
    targets = draw_targets(boxes, np.array([True, True]), CELLS)
    np.testing.assert_array_equal(targets.boxes[64 // STRIDE, 64 // STRIDE], boxes[1])


def test_an_unsure_face_counts_neither_way_unless_a_sure_one_is_there() -> None:
    boxes = np.array([[0, 0, 63, 63], [24, 24, 39, 39]], np.float32)
    targets = draw_targets(boxes, np.array([False, True]), CELLS)
    assert targets.counted[0, 0] == 0
    assert targets.counted[4, 4] == 1
    assert targets.counted[10, 10] == 1
    assert draw_targets(boxes[:1], np.array([False]), CELLS).peaks.max() == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-40, 200)] * 2, *[st.floats(2, 300)] * 2), max_size=6), st.integers(0, 63))
def test_any_boxes_give_finite_targets(rows: list[tuple[float, float, float, float]], known: int) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float32).reshape(-1, 4)
    sure = np.array([known >> i & 1 for i in range(len(rows))], bool)
    targets = draw_targets(boxes, sure, CELLS)
    assert all(np.isfinite(part).all() for part in targets)
    assert ((targets.peaks >= 0) & (targets.peaks <= 1)).all()
    assert (targets.peaks == 1).sum() <= sure.sum()


def test_the_maps_of_a_box_decode_to_it() -> None:
    maps = torch.zeros(1, 5, *CELLS)
    x, y, width, height = 61.25, 49.0, 40.0, 26.0
    row, column = 6, 7
    values = (
        (x + 0.5) / STRIDE - column - 0.5,
        (y + 0.5) / STRIDE - row - 0.5,
        np.log(width / SIZE),
        np.log(height / SIZE),
    )
    maps[0, 1:, row, column] = GAIN * torch.tensor(values)
    box = boxes_of(maps)[0, row, column].numpy()
    np.testing.assert_allclose(box, [x - 20, y - 13, x + 20, y + 13], atol=1e-4)
