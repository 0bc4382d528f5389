"""OpenCV, which the core does not need: imported when something asks for it."""

from __future__ import annotations

from typing import Any

from npuface_runtime.errors import UserError, reason_of


def load_opencv(what: str, otherwise: str = "") -> Any:
    """The module cv2.

    Args:
        what: what cannot be done without it.
        otherwise: another way out, added to the advice to install it.

    Raises:
        UserError: it is not installed, or does not load, as where a library of the system is missing.
    """
    try:
        import cv2
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cv2":
            raise UserError(what, "OpenCV is not installed", f"pip install npuface[camera]{otherwise}") from None
        why = f"OpenCV is installed but does not load ({reason_of(error)})"
        fix = f"install what it misses, or opencv-python-headless instead{otherwise}"
        raise UserError(what, why, fix) from error
    return cv2
