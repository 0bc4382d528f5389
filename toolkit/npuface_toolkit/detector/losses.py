"""The detector's loss: whether there is a face, and how its box lies."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_HARD, _NEAR = 2, 4


def focal_loss(logits: Tensor, peaks: Tensor, counted: Tensor) -> Tensor:
    """Penalty-reduced focal loss over all cells [N, h, w], per face ("CornerNet", Law and Deng, ECCV 2018, eq. 1).

    A cell beside a centre costs less the higher the peak that is drawn there; what is well classified costs little.
    """
    here = peaks >= 1
    sure, unsure = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    missed = -sure * torch.exp(_HARD * unsure) * here
    false = -unsure * torch.exp(_HARD * sure) * (1 - peaks) ** _NEAR * ~here
    return ((missed + false) * counted).sum() / here.sum().clamp(min=1)


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """Of boxes [..., 4]: -1 to 1 ("Generalized Intersection over Union", Rezatofighi et al., CVPR 2019)."""
    shared = (torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])).clamp(0)
    around = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (first, second)]
    intersection, hull = shared.prod(-1), around.prod(-1)
    union = areas[0] + areas[1] - intersection
    return intersection / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def box_loss(boxes: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """1 - GIoU of the boxes [N, h, w, 4] of cells with weights [N, h, w], per unit of weight, thus per face."""
    learnt = weights > 0
    if not learnt.any():
        return boxes.sum() * 0
    lost = (1 - generalised_iou(boxes[learnt], wanted[learnt])) * weights[learnt]
    return lost.sum() / weights.sum()
