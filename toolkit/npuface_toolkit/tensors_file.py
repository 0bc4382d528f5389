"""Tensors in a safetensors file, with a line that says what they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from npuface_runtime.errors import UserError


def write_tensors(path: Path, tensors: Mapping[str, Tensor], kind: str, about: str = "") -> None:
    """Write tensors, the kind of file that they make, and what there is to say of them, which should be JSON: to a
    temporary name first, then renamed, so that no half file is left.

    Raises:
        UserError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
        # not save_file, whose files nobody but their owner may read
        temporary.write_bytes(save(kept, {"format": kind, "about": about}))
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write {path}", str(error), "check the disk and the folder's permissions") from None
    finally:
        temporary.unlink(missing_ok=True)
