"""How a vendor's program ended, in words: its exit status, the signal, the disk that was full."""

from __future__ import annotations

import errno
import os
import signal

_NO_SPACE = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
FREE_SPACE = "free some space and run it again"
"""What to do about a full disk."""


def how_it_ended(status: int) -> str:
    """The end of a sentence about a process with that exit status; below zero, as subprocess has it, is a signal."""
    if status < 0:
        names = {one.value: one.name for one in signal.Signals}
        return f"was ended by {names.get(-status, f'signal {-status}')}"
    return f"failed with exit status {status}" if status else "ended without an answer that can be read"


def says_full_disk(printed: str) -> bool:
    """Whether what a program printed says that it failed for want of space."""
    return any(reason in printed for reason in _NO_SPACE)
