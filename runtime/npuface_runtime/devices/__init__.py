"""Device engines: what runs a bundle on the NPU itself. Each is imported when it is asked for, by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from npuface_runtime.bundle_manifest import BundleManifest
from npuface_runtime.engines import Session
from npuface_runtime.errors import UserError, reason_of

__all__ = ["DEVICES", "open_device"]

DEVICES = ("openvino", "qnn", "rknnlite", "tflite_delegate")
"""Names of the device engines; each is the module of that name here."""
HOST = 'open it with on="host" to run the model that stands in for the device'


def open_device(manifest: BundleManifest, files: Mapping[str, Path], threads: int = 1) -> Session:
    """Open a bundle's model on the device that it was made for.

    Args:
        manifest: of the bundle; its `device` names the engine.
        files: by role: `device` where a vendor's compiler made a file, else `model` (and `weights`).
        threads: CPU threads for what the engine leaves to the CPU.

    Raises:
        UserError: the bundle is for no such device, its engine is not installed, or the device does not open it.
    """
    what = f"cannot run {manifest.name} on {manifest.target}"
    if manifest.device is None:
        compiled = "device" in manifest.files
        why = "no engine runs the NPU's file from Python" if compiled else f"{manifest.engine} runs it on any machine"
        other = "run it there by the vendor's own library, or " if compiled else ""
        raise UserError(what, why, other + HOST)
    engine = manifest.device.engine
    if engine not in DEVICES:
        raise UserError(what, f"this runtime has no device engine {engine!r}, it has {', '.join(DEVICES)}", HOST)
    try:
        module = importlib.import_module(f"{__name__}.{engine}")
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError)
        why = f"{error.name} is not installed" if absent else f"{engine} does not load ({reason_of(error)})"
        raise UserError(what, why, f"install it on the device, or {HOST}") from error
    session: Session = module.open_model(manifest, files, threads)
    return session
