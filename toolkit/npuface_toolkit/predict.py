"""Run a landmark network in torch over labelled faces."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from npuface_export.decode import DecodeForm, HeatmapSpec
from npuface_toolkit.samples import FaceSamples, normalise


@torch.no_grad()
def predict_cells(
    network: nn.Module, samples: FaceSamples, form: DecodeForm, spec: HeatmapSpec, batch: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(predicted, true) points [N, K, 2] in heatmap cells, for the samples as they are (not varied)."""
    network.eval()
    device = next(network.parameters()).device
    predicted, truth = [], []
    for sample in DataLoader(samples, batch_size=batch):
        heatmaps = network(normalise(sample.picture.to(device))).heatmaps.float()
        predicted.append(form.points(heatmaps, spec).cpu().numpy())
        truth.append(sample.points.numpy())
    return np.concatenate(predicted), np.concatenate(truth)
