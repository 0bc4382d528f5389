"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from npuface_runtime.errors import UserError


def check_writable(file: Path) -> None:
    """Refuse, before hours are spent on what it shall hold, a file that could not be written.

    Raises:
        UserError: it is a folder, or lies in none that can be written to.
    """
    what = f"cannot write {file}"
    if file.is_dir():
        raise UserError(what, "it is a folder", "name a file")
    above = next(folder for folder in file.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(what, f"{above} is no folder that can be written to", "name another folder")


def write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made where it is missing; none changes before all are on the disk.

    Raises:
        UserError: the folder cannot be written; what was there stays as it was.
    """
    temporary = {name: folder / f".{name}.{os.getpid()}" for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for name, content in contents.items():
                temporary[name].write_bytes(content)
            for name, path in temporary.items():
                path.replace(folder / name)
        finally:
            for path in temporary.values():
                path.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write to {folder}", reason, "check the disk's free space and the folder's permissions"
        ) from None
