"""One process at a time changes a toolchain."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from npuface_export.toolchains.toolchain import Toolchain
from npuface_runtime.errors import UserError


@contextmanager
def only_one(toolchain: Toolchain, what: str) -> Iterator[None]:
    """Hold the lock of a toolchain, a file beside its folder. The system lets go of it however the process ends.

    Args:
        toolchain: that no other process is to change meanwhile.
        what: for the message, what cannot be done.

    Raises:
        UserError: another process holds it, or the folder cannot be written.
    """
    path = toolchain.folder.with_name(f".{toolchain.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = _take(path)
    except OSError as error:
        fix = "let NPUFACE_TOOLCHAINS name a folder that can be written to"
        raise UserError(what, f"{path.parent}: {error.strerror or error}", fix) from None
    if held is None:
        raise UserError(what, "another installation is running", "wait until it has ended, then run this again")
    try:
        yield
    finally:
        os.close(held)


if sys.platform == "win32":

    def _take(path: Path) -> int | None:
        """The open file, which goes as soon as it is closed; None where it is there, so another has it."""
        try:
            return os.open(path, os.O_CREAT | os.O_EXCL | os.O_TEMPORARY)
        except (FileExistsError, PermissionError):  # the latter while it is going
            return None

else:
    import fcntl

    def _take(path: Path) -> int | None:
        """The open file, locked; None where another has locked it. The file stays: to delete it would be a race."""
        held = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            return None
        return held
