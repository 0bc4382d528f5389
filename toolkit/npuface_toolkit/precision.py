"""Which precision a processor trains in without losing time."""

from __future__ import annotations

import logging

import torch

_log = logging.getLogger("npuface.train")
_AVX512 = ("avx512_bw", "avx512_vl", "avx512_dq")
"""With these oneDNN computes bfloat16 at the speed of float32 or better (its documentation, "bfloat16 training")."""


def autocasts(precision: str, device: torch.device) -> bool:
    """Whether training casts to bfloat16: where it is asked for and the device has it. It is said where it has not:
    emulated, a step was 20 times slower.
    """
    if precision != "bf16":
        return False
    fit = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else _processor_fits()
    if not fit:
        _log.warning("this processor has no bfloat16: training in float32")
    return fit


def _processor_fits() -> bool:
    has = torch.cpu.get_capabilities()
    return any(on for name, on in has.items() if "bf16" in name) or all(has.get(name) for name in _AVX512)
