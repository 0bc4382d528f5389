"""Quantization-aware training: the network computes as its INT8 export will, and its gradients pass through.

Weights are rounded symmetrically per output channel, activations with one range a tensor, as the targets' INT8 kernels
do (Jacob et al., CVPR 2018, arXiv:1712.05877). Batch norm stays: folding it multiplies an output channel by a number,
which moves that channel's scale and not where its weights round to. The range of an activation is that of the batch, so
there is no state to keep. The coordinates are decoded from the rounded heatmaps, so the decode form is in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_LEVELS = 255


def round_weights(weight: Tensor) -> Tensor:
    """Kernels [O, I, H, W] rounded to int8, symmetric, one scale an output channel; the gradient passes."""
    with torch.no_grad():
        scale = weight.abs().amax(dim=(1, 2, 3)).clamp_min(1e-12) / 127
        zero = torch.zeros(len(scale), dtype=torch.int32, device=weight.device)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


def round_activations(values: Tensor) -> Tensor:
    """A tensor rounded to 8 bits over its own range, zero exactly kept; the gradient passes."""
    with torch.no_grad():
        low, high = values.amin().clamp(max=0).float(), values.amax().clamp(min=0).float()
        scale = ((high - low) / _LEVELS).clamp_min(1e-12)
        zero = (-low / scale).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, _LEVELS)


@contextmanager
def fake_quantized(network: nn.Module) -> Iterator[None]:
    """Inside it, the network rounds its weights, and what every block of it gives, as an INT8 export does."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(_round_output) for module in network.modules() if _ends_a_kernel(module)]
    for convolution in convolutions:
        convolution.forward = partial(_rounded_convolution, convolution)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for convolution in convolutions:
            del convolution.forward  # the class's own again
        for hook in hooks:
            hook.remove()


def _rounded_convolution(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    out: Tensor = convolution._conv_forward(x, round_weights(convolution.weight), convolution.bias)
    return out


def _ends_a_kernel(module: nn.Module) -> bool:
    """Whether an INT8 kernel ends with the module: a block, or a convolution with nothing to fuse behind it.

    What is between a convolution, its batch norm and its activation never exists in INT8; a chain of blocks ends with
    its last, which is rounded already.
    """
    if isinstance(module, nn.Conv2d):
        return module.bias is not None
    last = next(reversed(list(module.children())), None)
    return last is not None and not (isinstance(module, nn.Sequential) and any(True for _ in last.children()))


def _round_output(module: nn.Module, given: Any, output: Any) -> Any:
    return round_activations(output) if isinstance(output, Tensor) else output
