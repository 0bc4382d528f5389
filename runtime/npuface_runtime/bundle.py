"""Opening a bundle: its manifest, its files, and the engine that runs them here."""

from __future__ import annotations

from pathlib import Path

from npuface_runtime.bundle_manifest import BundleManifest
from npuface_runtime.devices import open_device
from npuface_runtime.engines import Session, open_session
from npuface_runtime.errors import UserError
from npuface_runtime.finish import finish_of
from npuface_runtime.manifest import Manifest

_ENGINE_ROLES = ("model", "weights")
DEVICE = "device"
"""Role of the file that the NPU itself runs."""
_PLACES = ("host", "device")


def open_bundle(bundle: str | Path, threads: int = 1, on: str = "host") -> tuple[Manifest, Session]:
    """Open a bundle folder: its checked manifest, and a session whose outputs stand in the manifest's order.

    Args:
        bundle: the folder.
        threads: CPU threads of the engine.
        on: "host" for the model that any machine runs, which stands in for an NPU; "device" for the NPU itself.

    Raises:
        UserError: the bundle is damaged, its decode or engine is not there, or its model is another than
            its manifest describes.
    """
    _check_place(on)
    manifest = Manifest.load(bundle)
    finish_of(manifest)
    return manifest, open_files(manifest, bundle, threads, on)


def open_files(manifest: BundleManifest, bundle: str | Path, threads: int = 1, on: str = "host") -> Session:
    """The session of a bundle whose manifest is read; see open_bundle.

    Raises:
        UserError: its engine is not there, or its model is another than its manifest describes.
    """
    _check_place(on)
    if on == "device":
        roles = (DEVICE,) if DEVICE in manifest.files else _ENGINE_ROLES
        files = {role: manifest.file(bundle, role) for role in roles if role in manifest.files}
        session = open_device(manifest, files, threads)
    else:
        files = {role: manifest.file(bundle, role) for role in _ENGINE_ROLES if role in manifest.files}
        session = open_session(manifest.engine, files, threads, [info.name for info in manifest.outputs])
    inside = [(spec.shape, spec.dtype) for spec in (session.input, *session.outputs)]
    described = [(info.shape, info.dtype) for info in (manifest.input, *manifest.outputs)]
    if inside != described:
        session.close()
        raise UserError(
            f"the bundle {bundle} is damaged",
            f"its model's tensors are {inside}, its manifest says {described}",
            "export it again",
        )
    return session


def _check_place(on: str) -> None:
    if on not in _PLACES:
        raise UserError(
            f"cannot open a bundle on {on!r}", f"the places are {' and '.join(_PLACES)}", "give one of them"
        )


def describe(manifest: Manifest, session: Session, on: str = "host") -> str:
    """One sentence: which file of the bundle runs on which engine, and whether it stands in for an NPU."""
    role = DEVICE if on == "device" and DEVICE in manifest.files else "model"
    file = manifest.files[role].path
    text = f"{manifest.name} ({manifest.precision}) for {manifest.target}: {file} runs on {session.description}"
    if on == "host" and DEVICE in manifest.files:
        text += f", standing in for the NPU, which runs {manifest.files[DEVICE].path}"
    return text
