"""What a landmark network costs, whatever runs it: multiply-accumulates and parameters."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from npuface_toolkit.student import Student


def multiply_accumulates(network: Student) -> int:
    """Of its convolutions, for one picture of its input size."""
    size = network.config.input_size
    device = next(network.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, size, size, device=device))
    return int(counter.get_total_flops()) // 2


def parameters(network: Student) -> int:
    """Trained numbers."""
    return sum(weight.numel() for weight in network.parameters())
