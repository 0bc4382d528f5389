"""The detector's losses against their definitions, cell by cell."""

from __future__ import annotations

import math

import pytest
import torch

from npuface_toolkit.detector.losses import box_loss, focal_loss, generalised_iou


def test_the_focal_loss_is_that_of_its_paper() -> None:
    logits = torch.tensor([[[2.0, -1.0], [0.5, -3.0]]])
    peaks = torch.tensor([[[1.0, 0.4], [0.0, 0.0]]])
    counted = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    total = 0.0
    for logit, peak, count in zip(logits.flatten(), peaks.flatten(), counted.flatten(), strict=True):
        p = 1 / (1 + math.exp(-float(logit)))
        here, beside = -((1 - p) ** 2) * math.log(p), -((1 - float(peak)) ** 4) * p**2 * math.log(1 - p)
        total += float(count) * (here if peak == 1 else beside)
    assert focal_loss(logits, peaks, counted).item() == pytest.approx(total, rel=1e-5)


def test_a_picture_without_faces_has_a_finite_loss() -> None:
    assert math.isfinite(focal_loss(torch.full((1, 2, 2), 40.0), torch.zeros(1, 2, 2), torch.ones(1, 2, 2)).item())


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 2 / 6),
        ((0, 0, 1, 1), (3, 0, 4, 1), -2 / 4),
        ((0, 0, 4, 4), (1, 1, 3, 3), 4 / 16),
    ],
)
def test_generalised_overlap(first: tuple[int, ...], second: tuple[int, ...], expected: float) -> None:
    boxes = [torch.tensor([box], dtype=torch.float32) for box in (first, second)]
    assert generalised_iou(*boxes).item() == pytest.approx(expected)


def test_the_box_loss_has_a_gradient_where_boxes_are_apart_and_none_without_faces() -> None:
    boxes = torch.tensor([[[[0.0, 0.0, 1.0, 1.0]]]], requires_grad=True)
    wanted = torch.tensor([[[[5.0, 0.0, 6.0, 1.0]]]])
    box_loss(boxes, wanted, torch.ones(1, 1, 1)).backward()
    assert boxes.grad is not None
    assert boxes.grad.abs().max() > 0
    assert box_loss(boxes, wanted, torch.zeros(1, 1, 1)).item() == 0
