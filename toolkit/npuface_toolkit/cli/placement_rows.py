"""Rows that every bundle's table has: placement, estimate, files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from npuface_runtime.bundle_manifest import BundleManifest

Rows = list[tuple[str, str]]


def placement_rows(placement: Mapping[str, Any] | None) -> Rows:
    """How many operators run where, in body and decode where that is known, and why some are on the CPU."""
    if not placement:
        return []
    names = ", ".join(placement["cpu_operators"]) or "none"
    rows: Rows = [("placement", f"{placement['npu']} operators on the NPU, {placement['cpu']} on the CPU ({names})")]
    for part in ("body", "decode"):
        if part in placement:
            count = placement[part]
            rows.append((f"placement: {part}", f"{count['npu']} on the NPU, {count['cpu']} on the CPU"))
    reasons = placement.get("reasons", ())
    return rows + [
        ("on the CPU", f"{entry['count']} {entry['operator']}: {entry['reason'] or 'no reason given'}")
        for entry in reasons
    ]


def estimate_rows(estimate: Mapping[str, Any] | None) -> Rows:
    """What the vendor's compiler says that it costs."""
    return [(f"estimate: {key}", _figure(value)) for key, value in (estimate or {}).items() if value]


def file_rows(manifest: BundleManifest) -> Rows:
    """The files by role, with their sizes."""
    return [(f"file: {role}", f"{info.path} ({info.bytes / 1024:.0f} KiB)") for role, info in manifest.files.items()]


def _figure(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_amount(amount)}" for name, amount in value.items()) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _amount(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
