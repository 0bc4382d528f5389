"""What training minimises: the supervised terms of the patent's equation (6), and its distillation terms.

    a1 L_h(edges) + a2 L_h(heatmaps) + a3 L_p(points)  +  b1 D(edges) + b2 D(heatmaps) + b3 D(points)

The supervised terms count what is labelled, the distillation terms every face: the teacher is frozen and sees the same
varied picture, so pictures without labels teach as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.decode.finished import mean_confidence
from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import StudentInfo, load_student
from npuface_toolkit.head import HeadOutput
from npuface_toolkit.heatmaps import landmark_heatmaps
from npuface_toolkit.losses import HEATMAP_LOSSES, POINT_LOSSES, energy_loss, peak_loss, weighted_mean
from npuface_toolkit.samples import Sample, normalise
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.training_config import TrainingConfig


class Objective:
    """The loss of a batch.

    Args:
        autocast: compute the networks in bfloat16.

    Raises:
        UserError: the teacher cannot be opened, or has another landmark scheme.
    """

    def __init__(self, scheme: Scheme, config: TrainingConfig, device: torch.device, autocast: bool) -> None:
        self.scheme, self.config, self.device, self.autocast = scheme, config, device, autocast
        self.form = form_by_name(config.decode)
        how = config.distillation
        self.teacher = _Teacher(scheme, how.teacher, device) if how.active else None

    def spec(self, cells: int) -> HeatmapSpec:
        """What the decode form is built for at that heatmap size."""
        config = self.config
        return HeatmapSpec(self.scheme.points, cells, cells, config.beta or 20.0, config.threshold, config.sigma)

    def __call__(self, student: nn.Module, batch: Sample) -> Tensor:
        """The loss of the student, in training mode, on a batch on its device: a scalar."""
        pictures = normalise(batch.picture)
        out = self._run(student, pictures)
        points = self._points(out.heatmaps)
        total = self._supervised(out, points, batch)
        if self.teacher is not None:
            with torch.no_grad():
                wise = self._run(self.teacher.network, pictures)
                theirs = self.teacher.points(wise.heatmaps)
            total = total + self._distilled(out, points, wise, theirs)
        return total

    def _run(self, network: nn.Module, pictures: Tensor) -> HeadOutput:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            out: HeadOutput = network(pictures)
        return out.as_float()

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


class _Teacher:
    """A frozen network and its own way to points."""

    def __init__(self, scheme: Scheme, checkpoint: str, device: torch.device) -> None:
        network, self.info = load_student(checkpoint)
        if self.info.scheme != scheme.name:
            why = f"it has {self.info.scheme} landmarks, the data {scheme.name}"
            raise UserError(f"cannot learn from {checkpoint}", why, "give a teacher of the data's scheme")
        self.network = network.requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def points(self, heatmaps: Tensor) -> Tensor:
        """Its heatmaps [N, K, H, W] -> points [N, K, 2] in cells."""
        return decoded(self.info, heatmaps)


def decoded(info: StudentInfo, heatmaps: Tensor) -> Tensor:
    """Heatmaps [N, K, H, W] of a checkpoint's network, at whatever size -> points [N, K, 2] in cells."""
    return form_by_name(info.decode).points(heatmaps, _spec(info, heatmaps))


def confidence(info: StudentInfo, heatmaps: Tensor) -> float | None:
    """The mean of what heatmaps [N, K, H, W] of a checkpoint's network show; None where its decode has none."""
    return mean_confidence(form_by_name(info.decode), _spec(info, heatmaps), heatmaps)


def _spec(info: StudentInfo, heatmaps: Tensor) -> HeatmapSpec:
    points, height, width = heatmaps.shape[1:]
    return HeatmapSpec(points, height, width, info.beta, info.threshold, info.sigma)
