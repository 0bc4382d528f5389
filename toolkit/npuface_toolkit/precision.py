"""The precision that networks are trained in: bfloat16 where the device loses no time by it."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from npuface_toolkit.head import HeadOutput

_log = logging.getLogger("npuface.train")


def autocasts(precision: str, device: torch.device) -> bool:
    """Whether training casts to bfloat16: where it is asked for and the device has it. It is said where it has not:
    emulated, a step was 20 times slower, and 1.2 to 1.6 times with the AVX-512 kernels that oneDNN has for it.
    """
    if precision != "bf16":
        return False
    fit = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else _processor_fits()
    if not fit:
        _log.warning("this processor has no bfloat16: training in float32")
    return fit


def _processor_fits() -> bool:
    return any(on for name, on in torch.cpu.get_capabilities().items() if "bf16" in name)


def heads(network: nn.Module, pictures: Tensor, autocast: bool) -> HeadOutput:
    """What a network says of pictures [N, 3, S, S], in float32; computed in bfloat16 with `autocast`."""
    with torch.autocast(pictures.device.type, torch.bfloat16, enabled=autocast):
        out: HeadOutput = network(pictures)
    return out.as_float()
