"""What training minimises: the supervised terms of the patent's equation (6), and its distillation terms.

    a1 L_h(edges) + a2 L_h(heatmaps) + a3 L_p(points)  +  b1 D(edges) + b2 D(heatmaps) + b3 D(points)

The supervised terms count what is labelled, the distillation terms every face: the teacher is frozen and sees the same
varied picture, so pictures without labels teach as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_toolkit.head import HeadOutput
from npuface_toolkit.heatmaps import landmark_heatmaps
from npuface_toolkit.losses import HEATMAP_LOSSES, POINT_LOSSES, energy_loss, peak_loss, weighted_mean
from npuface_toolkit.precision import heads
from npuface_toolkit.samples import Sample, normalise
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.teacher import Teacher
from npuface_toolkit.training_config import TrainingConfig


class Objective:
    """The loss of a batch.

    Args:
        autocast: compute the networks in bfloat16.

    Raises:
        UserError: the teacher cannot be taken; see Teacher.
    """

    def __init__(self, scheme: Scheme, config: TrainingConfig, device: torch.device, autocast: bool) -> None:
        self.scheme, self.config, self.autocast = scheme, config, autocast
        self.form = form_by_name(config.decode)
        self.teacher = Teacher(scheme, config, device, autocast) if config.distillation.active else None

    def spec(self, cells: int) -> HeatmapSpec:
        """What the decode form is built for at that heatmap size."""
        config = self.config
        return HeatmapSpec(self.scheme.points, cells, cells, config.beta or 20.0, config.threshold, config.sigma)

    def __call__(self, student: nn.Module, batch: Sample) -> Tensor:
        """The loss of the student, in training mode, on a batch on its device: a scalar."""
        pictures = normalise(batch.picture)
        out = heads(student, pictures, self.autocast)
        points = self._points(out.heatmaps)
        total = self._supervised(out, points, batch)
        if self.teacher is not None:
            total = total + self._distilled(out, points, *self.teacher(pictures))
        return total

    def _points(self, heatmaps: Tensor) -> Tensor:
        return (self.form.training_points or self.form.points)(heatmaps, self.spec(heatmaps.shape[-1]))

    def _supervised(self, out: HeadOutput, points: Tensor, batch: Sample) -> Tensor:
        loss, known, cells = self.config.loss, batch.weights, out.heatmaps.shape[-1]
        heatmap_loss, point_loss = HEATMAP_LOSSES[loss.heatmap_loss], POINT_LOSSES[loss.point_loss]
        target = landmark_heatmaps(batch.points, cells, self.config.sigma)
        total = loss.points * weighted_mean(point_loss(points, batch.points, cells), known)
        for stack in (*out.earlier, out):
            total = (
                total
                + loss.edges * weighted_mean(heatmap_loss(stack.edges, batch.edges), batch.edge_weights)
                + loss.heatmaps * weighted_mean(heatmap_loss(stack.heatmaps, target), known)
                + loss.peaks * weighted_mean(peak_loss(stack.heatmaps, target), known)
            )
        return total

    def _distilled(self, out: HeadOutput, points: Tensor, wise: HeadOutput, theirs: Tensor) -> Tensor:
        how, point_loss = self.config.distillation, POINT_LOSSES[self.config.loss.point_loss]
        return (
            how.edges * energy_loss(out.edges, wise.edges).mean()
            + how.heatmaps * energy_loss(out.heatmaps, wise.heatmaps).mean()
            + how.points * point_loss(points, theirs, out.heatmaps.shape[-1]).mean()
        )
