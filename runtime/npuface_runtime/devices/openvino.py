"""OpenVINO on a device other than the CPU: Intel's NPU and GPU. What the vendor's compiler made is opened as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import openvino

from npuface_runtime.bundle_manifest import BundleManifest
from npuface_runtime.engines.engine import Session, unloadable
from npuface_runtime.engines.openvino import read_model, session_of
from npuface_runtime.errors import UserError

_CONFIG = {"PERFORMANCE_HINT": "LATENCY"}


def open_model(manifest: BundleManifest, files: Mapping[str, Path], threads: int) -> Session:
    """Open a bundle on the device that its manifest names (`device.options["device"]`), such as NPU; see open_device.

    All of it runs there: only OpenVINO's virtual devices (AUTO, HETERO, MULTI, BATCH) share a model with the CPU, and
    they are no device of any machine.
    Source: https://docs.openvino.ai/2025/openvino-workflow/running-inference/inference-devices-and-modes.html
    """
    name = manifest.device.options.get("device", "") if manifest.device else ""
    core = openvino.Core()
    _check(name, core.available_devices, f"cannot run {manifest.name} on {manifest.target}")
    opened = {"model": files["device"]} if "device" in files else files
    try:
        if "device" in files:
            compiled = core.import_model(files["device"].read_bytes(), name)
        else:
            compiled = core.compile_model(read_model(core, files), name, _CONFIG)
    except RuntimeError as error:
        raise unloadable(f"OpenVINO's {name} device", opened, error) from error
    return session_of(compiled, opened, [info.name for info in manifest.outputs], name)


def _check(name: str, present: list[str], what: str) -> None:
    """Refuse a device that is not on this machine. Where it has two of a kind they are called GPU.0 and GPU.1."""
    if name not in {kind for found in present for kind in (found, found.partition(".")[0])}:
        raise UserError(
            what,
            f"OpenVINO finds no device {name!r} on this machine, it has {', '.join(present)}",
            "run it on a machine that has the device, with its driver installed",
        )
