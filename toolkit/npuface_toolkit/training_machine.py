"""What a model card says of the machine that trained."""

from __future__ import annotations

import os
import platform

import torch


def machine_of(device: torch.device, processes: int = 1) -> str:
    """The GPU or the processor, torch's version, and how many processes shared the run if there were several."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{name}, torch {torch.__version__}" + (f", {processes} processes" if processes > 1 else "")
