"""Bundles on disk: built in a temporary folder beside their place, then put there at once."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from npuface_export.converters import ModelFiles
from npuface_runtime.bundle_manifest import FILE_NAME, FORMATS, BundleManifest, FileInfo, sha256_of
from npuface_runtime.detectors.detector_manifest import DetectorManifest
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest
from npuface_runtime.renderer_manifest import RendererManifest

AnyManifest = TypeVar("AnyManifest", bound=BundleManifest)
_ALWAYS = ("npuface", "torch", "numpy")
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@contextlib.contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """A temporary folder on the same disk as `out`, gone at the end whatever happens.

    Raises:
        UserError: `out` is something other than a bundle, or the disk refuses to be written.
    """
    _check_destination(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            yield Path(folder)
    except OSError as error:
        if not _is_of_disk(error, out.parent):
            raise
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write the bundle {out}", reason, "check the disk's free space and permissions"
        ) from None


def _is_of_disk(error: OSError, folder: Path) -> bool:
    """Whether a disk is to blame, or a file below that folder or above it, and not one that is missing elsewhere."""
    if error.errno in _OF_DISKS or not isinstance(error.filename, str | bytes):
        return True
    file, folder = Path(os.fsdecode(error.filename)).absolute(), folder.absolute()
    return file.is_relative_to(folder) or folder.is_relative_to(file)


def write_bundle(out: Path, folder: Path, manifest: AnyManifest, files: Mapping[str, Path]) -> AnyManifest:
    """Put a bundle in its place.

    Args:
        out: where it goes. A bundle that is there is replaced: its manifest, which names every file by its
            content, changes in one step, so a reader or a kill finds the old bundle or the new one.
        folder: the workspace.
        manifest: all but its `files`.
        files: the model files by role.

    Returns:
        The manifest with its files.
    """
    packed = folder / "bundle"
    packed.mkdir()
    manifest = with_fields(manifest, files=_pack(files, manifest.precision, packed))
    (packed / FILE_NAME).write_text(json.dumps(manifest.as_json(), indent=2) + "\n", encoding="utf-8")
    type(manifest).load(packed)  # refuses here, not on the camera
    if not out.exists():
        packed.rename(out)
        return manifest
    old = _files_of(out)
    for path in packed.iterdir():
        if path.name != FILE_NAME:
            path.replace(out / path.name)
    (packed / FILE_NAME).replace(out / FILE_NAME)
    for name in old - _files_of(out):
        (out / name).unlink(missing_ok=True)
    return manifest


def with_fields(manifest: AnyManifest, **fields: Any) -> AnyManifest:
    """The manifest, which is a dataclass whatever its kind, with other values in some fields."""
    return cast(AnyManifest, replace(cast(Any, manifest), **fields))


def bytes_out(model: ModelFiles) -> int:
    """Bytes that leave a network for one face."""
    return sum(math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize for tensor in model.outputs)


def with_model(manifest: Manifest, model: ModelFiles, precision: str) -> Manifest:
    """The manifest of the same network in another model file."""
    return replace(
        manifest,
        precision=precision,
        input=model.input,
        outputs=model.outputs,
        heatmap=replace(manifest.heatmap, tensor=model.heatmap),
        decode=replace(manifest.decode, bytes_out=bytes_out(model)),
    )


def cpu_placement(model: ModelFiles) -> dict[str, Any]:
    """The placement on a CPU engine: every operator on the CPU."""
    return {"npu": 0, "cpu": sum(model.operators.values()), "cpu_operators": sorted(model.operators)}


def tool_versions(tools: Iterable[str]) -> dict[str, str]:
    """Versions of installed distributions, and of those that make every bundle."""
    return {name: version(name) for name in sorted({*_ALWAYS, *tools})}


def _pack(files: Mapping[str, Path], precision: str, packed: Path) -> dict[str, FileInfo]:
    """Copy the files under names made of what they are and a hash of their content."""
    stems = {}
    for first, second, kind in (("model", "weights", precision), ("float", "float_weights", "float32")):
        digest = hashlib.sha256("".join(sha256_of(files[r]) for r in (first, second) if r in files).encode())
        stems[first] = stems[second] = f"{kind}-{digest.hexdigest()[:8]}"
    infos = {}
    for role, source in files.items():
        stem = stems.get(role, f"{role}-{sha256_of(source)[:8]}")
        path = packed / (stem + source.suffix)
        if path.parent != packed:
            raise ValueError(f"{role} would be packed as {path}")  # roles and precisions come from closed lists
        shutil.copyfile(source, path)
        infos[role] = FileInfo(path.name, sha256_of(path), path.stat().st_size)
    return infos


def _check_destination(out: Path) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    manifest = out / FILE_NAME
    head = manifest.read_bytes()[:4096] if manifest.is_file() else b""
    if not any(f'"{name}"'.encode() in head for name in FORMATS):
        raise UserError(
            f"cannot write the bundle {out}", "something other than a bundle is there", "choose another folder"
        )


def _files_of(bundle: Path) -> set[str]:
    """Names of the files that belong to a bundle of any kind; none where its manifest is damaged."""
    for kind in (Manifest, DetectorManifest, RendererManifest):
        with contextlib.suppress(UserError):
            return {info.path for info in kind.load(bundle).files.values()}
    return set()
