"""What the bundles of detectors and renderers share: the float half of an INT8 bundle, and compilation.

To converters and compilers both are networks whose only output leaves them as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from npuface_export.calibrated import FLOAT_ROLES
from npuface_export.compilers import compiler_by_name
from npuface_export.converters import ModelFiles, converter_by_name
from npuface_export.target import Target, target_by_name
from npuface_runtime.bundle_manifest import BundleManifest
from npuface_runtime.errors import UserError

M = TypeVar("M", bound=BundleManifest)


def float_half(manifest: BundleManifest, bundle: Path, output: tuple[int, int, int]) -> ModelFiles:
    """The float model of a bundle, which an INT8 bundle keeps beside the other.

    Args:
        manifest: of the bundle.
        bundle: its folder.
        output: channels, height and width of what leaves the network.

    Raises:
        UserError: it has no float model, or its files are damaged.
    """
    roles = FLOAT_ROLES if manifest.precision == "int8" else {role: role for role in FLOAT_ROLES}
    there = {role: name for role, name in roles.items() if role == "model" or name in manifest.files}
    files = {role: manifest.file(bundle, name) for role, name in there.items()}
    return converter_by_name(target_by_name(manifest.target).converter).describe(files, output)


def check_kind(target: Target, what: str) -> None:
    """Refuse, at export, a target whose compiler is only fed with landmark networks.

    Args:
        what: cannot be done.

    Raises:
        UserError: the compiler quantizes by itself, or takes no INT8.
    """
    if target.compiler is None or (target.compiles == "model" and "int8" in target.precisions):
        return
    why = "its compiler quantizes by itself" if target.compiles == "float" else "its compiler takes no INT8 models"
    raise UserError(
        f"{what} for {target.name}", f"{why}, which is made for landmark networks alone", "name another target"
    )


def compiled(manifest: M, target: Target, files: Mapping[str, Path], folder: Path) -> tuple[M, dict[str, Path]]:
    """By the vendor's compiler, where the target has one."""
    if target.compiler is None:
        return manifest, dict(files)
    made = compiler_by_name(target.compiler).compile(files[target.compiles], target, folder, [])
    record: dict[str, Any] = {
        "placement": made.placement.as_json() if made.placement else None,
        "estimate": made.estimate.as_json() if made.estimate else None,
        "tools": {**cast(Any, manifest).tools, target.compiler: made.version},
    }
    return cast(M, replace(cast(Any, manifest), **record)), {**files, "device": made.artifact}
