"""Weights to begin with."""

from __future__ import annotations

from torch import nn


def keep_variance(layer: nn.Module) -> None:
    """Draw a convolution's weights so that a signal keeps its size behind a ReLU (He et al., ICCV 2015)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
