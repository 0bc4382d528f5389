"""RKNN files on Rockchip's NPUs with RKNN-Toolkit-Lite2, the vendor's Python package for aarch64 Linux.

It has not run on a board. It keeps to what the vendor's own source documents (rknn-toolkit-lite2 2.5.0,
rknnlite/api/rknn_lite.py): a call that fails returns -1, an inference that fails None, and the reason is only printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rknnlite.api import RKNNLite

from npuface_runtime.bundle_manifest import BundleManifest, TensorInfo
from npuface_runtime.engines.engine import Array, Session, TensorSpec
from npuface_runtime.errors import UserError

_ANY_CORE = "NPU_CORE_AUTO"
_CORES = "NPU_CORE_"
_READ = "read what the vendor's package printed before this, and check the chip, the driver and the bundle's target"


class _FailedError(Exception):
    """The vendor's package gave no results, or others than the manifest describes."""


class _RknnSession(Session):
    """A session that gives the NPU's memory back when it is closed, once."""

    def __init__(self, description: str, manifest: BundleManifest, lite: RKNNLite) -> None:
        def infer(picture: Array) -> list[Array]:
            return _infer(lite, manifest, picture)

        super().__init__(description, _spec(manifest.input), _specs(manifest.outputs), infer, (_FailedError,))
        self._lite: RKNNLite | None = lite

    def close(self) -> None:
        """See Session.close."""
        super().close()
        lite, self._lite = self._lite, None
        if lite is not None:
            lite.release()


def open_model(manifest: BundleManifest, files: Mapping[str, Path], threads: int) -> Session:
    """Open a bundle on the NPU, on the cores that its manifest names (`device.options["core_mask"]`); see open_device.

    The session's tensors are the manifest's: float pictures as the model on the host takes them. All of the model runs
    on the NPU; operators that the toolkit left to the CPU run on threads of the vendor's, whatever `threads` says.
    """
    what = f"cannot run {manifest.name} on {manifest.target}"
    if "device" not in files:
        raise UserError(what, "the bundle has not been compiled for it", "run npuface quantize on the bundle first")
    name = manifest.device.options.get("core_mask", _ANY_CORE) if manifest.device else _ANY_CORE
    mask = _core_mask(name, what)
    lite = RKNNLite()
    try:
        _check(lite.load_rknn(str(files["device"])), f"it cannot load {files['device'].name}", what)
        _check(lite.init_runtime(core_mask=mask), f"the NPU does not start with {name}", what)
    except UserError:
        lite.release()
        raise
    return _RknnSession(f"RKNN-Toolkit-Lite2 ({lite.get_sdk_version()}), {name}", manifest, lite)


def _core_mask(name: str, what: str) -> int:
    """The number of a set of cores. Raises UserError where the vendor's package does not know its name."""
    known = sorted(each for each in vars(RKNNLite) if each.startswith(_CORES))
    if name not in known:
        raise UserError(what, f"there are no cores {name!r}, they are {', '.join(known)}", "correct the target's file")
    return int(getattr(RKNNLite, name))


def _check(code: int, why: str, what: str) -> None:
    if code != 0:
        raise UserError(what, f"{why} (code {code})", _READ)


def _infer(lite: RKNNLite, manifest: BundleManifest, picture: Array) -> list[Array]:
    """The package takes pictures with channels last, and quantizes them itself; results it gives back in float32."""
    entered = np.ascontiguousarray(picture.transpose(0, 2, 3, 1)) if manifest.input.layout == "NCHW" else picture
    outputs = lite.inference(inputs=[entered], data_type=[picture.dtype.name], data_format=["nhwc"])
    if outputs is None:
        raise _FailedError("the inference gave no outputs, the reason is in what the vendor's package printed")
    given = [(output.shape, output.dtype.name) for output in outputs]
    described = [(info.shape, info.dtype) for info in manifest.outputs]
    if given != described:
        raise _FailedError(f"the outputs are {given}, the manifest says {described}")
    return list(outputs)


def _spec(info: TensorInfo) -> TensorSpec:
    return TensorSpec(info.name, info.shape, info.dtype)


def _specs(infos: Sequence[TensorInfo]) -> list[TensorSpec]:
    return [_spec(info) for info in infos]
