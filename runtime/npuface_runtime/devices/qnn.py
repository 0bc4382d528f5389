"""ONNX Runtime with Qualcomm's QNN provider, on the Hexagon NPU (HTP); on x86-64 the provider emulates it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from npuface_runtime.bundle_manifest import BundleManifest
from npuface_runtime.engines.engine import Session, unloadable
from npuface_runtime.engines.onnxruntime import ERRORS_ONLY, FAILURES, session_of
from npuface_runtime.errors import UserError

_PROVIDER = "QNNExecutionProvider"
_PACKAGE = "onnxruntime_qnn"
_OPTIONS = ("htp_performance_mode", "qnn_context_priority", "rpc_control_latency", "vtcm_mb")
"""What a bundle may say: settings. The provider's other options name files and libraries, and a bundle brings no code.
Source: https://github.com/onnxruntime/onnxruntime-qnn/blob/main/docs/execution_providers/QNN-ExecutionProvider.md
"""


def open_model(manifest: BundleManifest, files: Mapping[str, Path], threads: int) -> Session:
    """Open the context binary of a bundle on the HTP, with `device.options` for the provider; see open_device.

    The CPU does not stand in for the NPU: ONNX Runtime's fallback is off, unless the bundle itself says that its
    compiler left operators to the CPU, which then run on `threads` of it.
    """
    what = f"cannot run {manifest.name} on {manifest.target}"
    if "device" not in files:
        raise UserError(what, "the bundle has not been compiled for it", "run npuface quantize on the bundle first")
    chosen = dict(manifest.device.options) if manifest.device else {}
    unknown = sorted(set(chosen) - set(_OPTIONS))
    if unknown:
        raise UserError(what, f"its bundle sets {unknown[0]!r}", f"a bundle may set {', '.join(_OPTIONS)}")
    left = manifest.placement["cpu"] if manifest.placement else 0
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = ERRORS_ONLY
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "0" if left else "1")
    opened = {"model": files["device"]}
    try:
        model = _opened(opened["model"], settings, chosen, what)
    except FAILURES as error:
        raise unloadable("ONNX Runtime's QNN provider", opened, error) from error
    rest = f", operators on the CPU: {left}, threads: {threads}" if left else ""
    description = f"ONNX Runtime {onnxruntime.__version__}, {_PROVIDER}, HTP{rest}"
    return session_of(model, opened, [info.name for info in manifest.outputs], description)


def _opened(model: Path, settings: Any, options: Mapping[str, str], what: str) -> Any:
    """A session on the HTP: by the plugin where it is installed, else by the provider that is built in.

    Raises:
        UserError: there is neither, or the plugin finds no HTP.
    """
    try:
        plugin = importlib.import_module(_PACKAGE)
    except ModuleNotFoundError:
        return _built_in(model, settings, options, what)
    if not _devices():
        onnxruntime.register_execution_provider_library(_PROVIDER, plugin.get_library_path())
    found = _devices()
    if not found:
        raise UserError(what, f"{_PACKAGE} finds no Hexagon NPU on this machine", "run it on the device")
    settings.add_provider_for_devices(found[:1], {"backend_type": "htp", **options})
    return onnxruntime.InferenceSession(str(model), settings)


def _devices() -> list[Any]:
    """What the plugin can run on, an NPU before all else: on a host that emulates it, it names the CPU."""
    npu = onnxruntime.OrtHardwareDeviceType.NPU
    found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == _PROVIDER]
    return sorted(found, key=lambda device: device.device.type != npu)


def _built_in(model: Path, settings: Any, options: Mapping[str, str], what: str) -> Any:
    """With onnxruntime-qnn before version 2, which brings an ONNX Runtime of its own. It has not run on a board."""
    if _PROVIDER not in onnxruntime.get_available_providers():
        fix = "pip install onnxruntime-qnn beside onnxruntime"
        raise UserError(what, f"ONNX Runtime {onnxruntime.__version__} has no {_PROVIDER} here", fix)
    library = "QnnHtp.dll" if sys.platform == "win32" else "libQnnHtp.so"
    provider = (_PROVIDER, {"backend_path": library, **options})
    return onnxruntime.InferenceSession(str(model), settings, providers=[provider])
