"""Run a landmark network in torch over labelled faces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from npuface_toolkit.samples import FaceSamples, normalise


@torch.no_grad()
def predict_cells(
    network: nn.Module, samples: FaceSamples, decode: Callable[[Tensor], Tensor], batch: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(predicted, true) points [N, K, 2] in heatmap cells, for the samples as they are (not varied).

    `decode` takes heatmaps [N, K, H, W] in float32 to points [N, K, 2] in cells.
    """
    network.eval()
    device = next(network.parameters()).device
    predicted, truth = [], []
    for sample in DataLoader(samples, batch_size=batch):
        heatmaps = network(normalise(sample.picture.to(device))).heatmaps.float()
        predicted.append(decode(heatmaps).cpu().numpy())
        truth.append(sample.points.numpy())
    return np.concatenate(predicted), np.concatenate(truth)
