"""Model updates: a bundle put in the place of another, in one step."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from npuface_runtime.bundle import open_bundle
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import FILE_NAME, Manifest, sha256_of
from npuface_runtime.plain import parse_json

_PART = ".part"
_REPLACED = ".replaced.json"
"""Names of files that the next update removes."""


def install_bundle(new: str | Path, place: str | Path, on: str = "host") -> Manifest:
    """Put a bundle into a folder that programs open, in the place of the bundle that is there.

    The new one is opened first, so what does not run here is not installed. Its files go beside the old ones, whose
    names are others, and then the manifest changes in one step: who opens the folder meanwhile, and who finds it
    after a loss of power, gets the old bundle or the new one. The files of the bundle that was replaced stay until
    the next update, for those who were about to open them. Files that no bundle named are not touched.

    Args:
        new: the bundle to install; it stays as it is.
        place: the folder; it is made where it is missing.
        on: where it must open to be installed, see FaceAligner; "device" on a board that has no engine but its NPU's.

    Returns:
        The manifest of the new bundle.

    Raises:
        UserError: the new bundle cannot be used here, a file of another content has the name of one of its files,
            or the folder cannot be written. What was there stays in use.
    """
    new, place = Path(new), Path(place)
    manifest, session = open_bundle(new, on=on)
    session.close()
    files = {info.path: manifest.file(new, role) for role, info in manifest.files.items()}
    try:
        place.mkdir(parents=True, exist_ok=True)
        old, older = _named_in(place), _replaced_in(place)
        for part in place.glob(f".*{_PART}"):
            part.unlink()
        for name, file in files.items():
            _add(file, place / name)
        (place / _REPLACED).write_text(json.dumps(sorted((old | older) - files.keys())))
        _replace(new / FILE_NAME, place / FILE_NAME)
        for name in older - old - files.keys():
            (place / name).unlink(missing_ok=True)
        (place / _REPLACED).write_text(json.dumps(sorted(old - files.keys())))
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UserError(
            f"cannot install the bundle in {place}", reason, "check its free space and permissions"
        ) from None
    return manifest


def _named_in(place: Path) -> set[str]:
    """The files of the bundle that is there; none where there is no sound one."""
    try:
        return {info.path for info in Manifest.load(place).files.values()}
    except UserError:
        return set()


def _replaced_in(place: Path) -> set[str]:
    """The files of bundles that were replaced there before, as this module noted them."""
    try:
        names = parse_json((place / _REPLACED).read_text())
    except (FileNotFoundError, ValueError):
        return set()
    listed = names if isinstance(names, list) else []
    inside = [name for name in listed if isinstance(name, str) and Path(name).name == name]
    return set(inside) - {FILE_NAME}


def _add(file: Path, goal: Path) -> None:
    """Copy a file to where none is, or the same."""
    if goal.exists():
        if sha256_of(goal) == sha256_of(file):
            return
        raise UserError(
            f"cannot install the bundle in {goal.parent}",
            f"another {goal.name} is there, which may be in use",
            "export it again: npuface names files by their content; or install it in another folder",
        )
    goal.parent.mkdir(parents=True, exist_ok=True)
    _replace(file, goal)


def _replace(file: Path, goal: Path) -> None:
    """Copy a file over another in one step, once it is on the disk."""
    handle, name = tempfile.mkstemp(prefix=f".{goal.name}.", suffix=_PART, dir=goal.parent)
    try:
        with os.fdopen(handle, "wb") as stream, file.open("rb") as source:
            shutil.copyfileobj(source, stream)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(goal)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
