"""The codes of one head in a file: what a reconstruction found, and what an export bakes in."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.generator import GeneratorConfig
from npuface_toolkit.tensors_file import write_tensors

FORMAT = "npuface-head-codes-1"
Codes = tuple[Tensor, Tensor]
"""Zs and Za, each [1, Z, 1, 1]."""


def save_codes(path: Path, codes: Codes) -> None:
    """Write the codes. Raises UserError where the file cannot be written."""
    zs, za = (code.detach().flatten() for code in codes)
    write_tensors(path, {"zs": zs, "za": za}, FORMAT)


def load_codes(path: Path, config: GeneratorConfig) -> Codes:
    """Read the codes of a head for a generator of that shape.

    Raises:
        UserError: the file is missing or something else, or its codes are of another length or not finite.
    """
    what, fix = f"cannot read the codes {path}", "give the .codes.safetensors that npuface reconstruct wrote"
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise UserError(what, "it holds something else", fix)
            zs, za = file.get_tensor("zs").float(), file.get_tensor("za").float()
    except (SafetensorError, OSError) as error:
        raise UserError(what, str(error), fix) from None
    lengths, wanted = (tuple(zs.shape), tuple(za.shape)), (config.shape_codes, config.appearance_codes)
    if lengths != ((wanted[0],), (wanted[1],)):
        why = f"its codes are {lengths}, the model takes {wanted[0]} of shape and {wanted[1]} of appearance"
        raise UserError(what, why, "give codes that this model made")
    if not bool(torch.isfinite(zs).all() and torch.isfinite(za).all()):
        raise UserError(what, "a code is not finite", fix)
    return zs.reshape(1, -1, 1, 1), za.reshape(1, -1, 1, 1)
