"""Opening a bundle: its manifest, its files, and the engine that runs them here."""

from __future__ import annotations

from pathlib import Path

from npuface_runtime.engines import Session, open_session
from npuface_runtime.errors import UserError
from npuface_runtime.finish import finish_of
from npuface_runtime.manifest import Manifest

_ENGINE_ROLES = ("model", "weights")
DEVICE = "device"
"""Role of the file that the NPU itself runs."""


def open_bundle(bundle: str | Path, threads: int = 1) -> tuple[Manifest, Session]:
    """Open a bundle folder: its checked manifest, and a session whose outputs stand in the manifest's order.

    Raises:
        UserError: the bundle is damaged, its decode or engine is not there, or its model is another than
            its manifest describes.
    """
    manifest = Manifest.load(bundle)
    finish_of(manifest)
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
    return manifest, session


def describe(manifest: Manifest, session: Session) -> str:
    """One sentence: which file of the bundle runs on which engine, and whether it stands in for an NPU."""
    file = manifest.files["model"].path
    text = f"{manifest.name} ({manifest.precision}) for {manifest.target}: {file} runs on {session.description}"
    if DEVICE in manifest.files:
        text += f", standing in for the NPU, which runs {manifest.files[DEVICE].path}"
    return text
