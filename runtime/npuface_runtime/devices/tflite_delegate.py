"""LiteRT with a vendor's delegate: Ethos-U65 on Linux. What vela compiled runs on the NPU, or does not open."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path

from npuface_runtime.bundle_manifest import BundleManifest
from npuface_runtime.engines.engine import Session
from npuface_runtime.engines.litert import FAILURES, load_delegate, open_on
from npuface_runtime.errors import UserError, reason_of

_DELEGATES = ("libethosu_delegate.so",)
"""The libraries that a bundle may name. To load one runs its code, and a bundle is data.
Source: https://www.nxp.com/docs/en/user-guide/IMXMLUG.pdf, TensorFlow Lite, Ethos-U delegate
"""
_ENTRY = "tflite_plugin_create_delegate"
"""What every delegate library exports.
Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/delegates/external/external_delegate.h
"""


def open_model(manifest: BundleManifest, files: Mapping[str, Path], threads: int) -> Session:
    """Open a bundle with the delegate library that its manifest names (`device.options["delegate"]`); see open_device.

    The CPU cannot stand in for the NPU: vela's file holds an operator that only the delegate knows. Operators that
    vela left to the CPU run on `threads` of it.
    Source: https://www.nxp.com/docs/en/user-guide/IMXMLUG.pdf, TensorFlow Lite, Ethos-U delegate
    """
    what = f"cannot run {manifest.name} on {manifest.target}"
    library = manifest.device.options.get("delegate", "") if manifest.device else ""
    if "device" not in files:
        raise UserError(what, "the bundle has not been compiled for it", "run npuface quantize on the bundle first")
    _check(library, what)
    try:
        delegate = load_delegate(library)
    except FAILURES as error:
        raise UserError(what, f"{library} finds no device ({reason_of(error)})", "check the NPU's driver") from error
    outputs = [info.name for info in manifest.outputs]
    return open_on({"model": files["device"]}, threads, outputs, [delegate], library)


def _check(library: str, what: str) -> None:
    """Refuse a library that is not known, before any of it is loaded, and one that does not load.

    Raises:
        UserError: it is another than _DELEGATES, is not there, or is no delegate.
    """
    if library not in _DELEGATES:
        known = ", ".join(_DELEGATES)
        raise UserError(what, f"its bundle names the delegate {library!r}", f"a bundle may name {known}")
    try:
        if hasattr(ctypes.CDLL(library), _ENTRY):
            return
        why = f"{library} is no delegate"
    except OSError as error:
        why = f"its delegate does not load ({reason_of(error)})"
    raise UserError(what, why, "run it on the device, whose Linux brings the delegate")
