"""The vendor compiler's step: an INT8 model -> what the NPU itself runs, where each operator went, and its cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from npuface_export.bundle import workspace, write_bundle
from npuface_export.compilers import Placement, compiler_by_name
from npuface_export.target import Target, target_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest

_DEVICE = "device"


def compile_bundle(bundle: Path, out: Path | None = None) -> Manifest:
    """Run the target's vendor compiler on an INT8 bundle, again or for the first time.

    Args:
        bundle: made by quantize_bundle.
        out: where the result goes; in place without it.

    Returns:
        The new manifest.

    Raises:
        UserError: the bundle is damaged or float, its target has no compiler, or the compiler fails.
    """
    manifest = Manifest.load(bundle)
    target = target_by_name(manifest.target)
    if target.compiler is None:
        raise UserError(
            f"cannot compile for {target.name}", f"{manifest.engine} runs the model as it is", "use the bundle as it is"
        )
    if manifest.precision != "int8":
        raise UserError(f"cannot compile the bundle {bundle}", "it is not INT8", "run npuface quantize on it first")
    files = {role: manifest.file(bundle, role) for role in manifest.files}
    out = out or bundle
    with workspace(out) as folder:
        manifest, files = compile_model(manifest, target, files, folder)
        return write_bundle(out, folder, manifest, files)


def cpu_refusals(manifest: Manifest, allowed: Collection[str] = ()) -> list[str]:
    """Operators that an NPU bundle leaves to the CPU and that are not allowed there, each with the compiler's reason.

    Args:
        manifest: of a bundle.
        allowed: operators by the model file's names.
    """
    if manifest.placement is None or not target_by_name(manifest.target).is_npu:
        return []
    return [
        f"{entry['count']} {entry['operator']} on the CPU: {entry['reason'] or 'no reason given'}"
        for entry in manifest.placement["reasons"]
        if entry["operator"] not in allowed
    ]


def compile_model(
    manifest: Manifest, target: Target, files: Mapping[str, Path], folder: Path
) -> tuple[Manifest, dict[str, Path]]:
    """Compile the model among `files` for a target that has a compiler.

    Returns:
        The manifest with placement and estimate, and the files with the compiled one, which lies in `folder`.

    Raises:
        UserError: the compiler is missing or fails.
    """
    if target.compiler is None:
        raise ValueError(f"{target.name} has no compiler")
    made = compiler_by_name(target.compiler).compile(files["model"], target, folder)
    manifest = replace(
        manifest,
        placement=_placement_record(made.placement),
        estimate=made.estimate.as_json(),
        tools={**manifest.tools, target.compiler: made.version},
    )
    return manifest, {**files, _DEVICE: made.artifact}


def _placement_record(placement: Placement) -> dict[str, object]:
    """As the manifest keeps it: counts in body and decode, the names of what is on the CPU, and why each is there."""
    decode = {"npu": placement.decode_npu, "cpu": placement.decode_cpu}
    return {
        "body": {"npu": placement.npu - decode["npu"], "cpu": placement.cpu - decode["cpu"]},
        "decode": decode,
        "npu": placement.npu,
        "cpu": placement.cpu,
        "cpu_operators": sorted({on_cpu.operator for on_cpu in placement.cpu_operators}),
        "reasons": [
            {"operator": on_cpu.operator, "count": on_cpu.count, "reason": on_cpu.reason}
            for on_cpu in placement.cpu_operators
        ],
    }
