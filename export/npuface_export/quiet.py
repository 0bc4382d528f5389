"""Keeps what third-party tools print out of standard output, which belongs to the command's own result."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator

_NOISY = ("torch.onnx", "torch.export", "nncf", "root")


@contextlib.contextmanager
def quiet_tools() -> Iterator[None]:
    """Inside it, prints go to standard error, and the tools' own warnings and log lines below ERROR are dropped."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
