"""Where a bundle's operators run, for people: tables by kind or operator by operator, and the picture of the graph."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from npuface_runtime.errors import UserError
from npuface_toolkit.cli.console import table

if TYPE_CHECKING:
    from npuface_export.compilers import Placement
    from npuface_runtime.manifest import Manifest

_CLASS = re.compile(r"^(?:\w+\.)+_?[A-Z][A-Za-z0-9]*(?:_|$)")
"""Package, module and class before the module's own name, as in torch.nn.modules.conv.Conv2d_first."""


def has_operators(manifest: Manifest) -> bool:
    """Whether the bundle says of every operator where it runs."""
    return bool(manifest.placement and manifest.placement.get("operators"))


def placement_of(manifest: Manifest, bundle: Path) -> Placement:
    """Where every operator of a bundle runs.

    Raises:
        UserError: the bundle does not say, or what it says is damaged.
    """
    from npuface_export.compilers import Placement

    if not has_operators(manifest):
        raise UserError(f"cannot show where the operators of {bundle} run", *_why_none(manifest, bundle))
    try:
        return Placement.from_json(manifest.placement or {})
    except ValueError as error:
        raise UserError(f"the bundle {bundle} is damaged", f"its placement: {error}", "make it again") from None


def kinds_table(placement: Placement) -> Table:
    """A row for each kind of operator, its part of the network, its device and the reason."""
    counted = Counter((one.part, one.device, one.operator, one.reason) for one in placement.operators)
    rows = [
        (part, operator, device.upper(), count, reason or "")
        for (part, device, operator, reason), count in sorted(counted.items(), key=lambda item: str(item[0]))
    ]
    title = f"Placement: {placement.npu} operators on the NPU, {placement.cpu} on the CPU"
    return table(title, ("part", "operator", "runs on", "count", "reason"), rows)


def operators_table(placement: Placement) -> Table:
    """A row for each operator in the order of execution; the numbers are those of the picture."""
    rows = [
        (index, short_name(one.name), one.operator, one.device.upper(), one.part, one.reason or "")
        for index, one in enumerate(placement.operators)
    ]
    return table("Operators", ("number", "name", "operator", "runs on", "part", "reason"), rows)


def short_name(name: str) -> str:
    """The path through the torch modules that a converter made a name of, without their classes; --json has it all."""
    return "/".join(filter(None, (_CLASS.sub("", part) for part in name.partition(";")[0].split("/"))))


def write_picture(path: Path, placement: Placement, manifest: Manifest, bundle: Path) -> None:
    """Draw a bundle's graph.

    Raises:
        UserError: the file's suffix is unknown, or it cannot be written.
    """
    from npuface_benchmarks.graph_picture import write_graph
    from npuface_export.target import target_by_name

    compiler = target_by_name(manifest.target).compiler or "the compiler"
    who = f"{compiler} {manifest.tools.get(compiler, '')}".strip()
    title = f"{bundle.resolve().name}: {manifest.name}, {manifest.precision}, for {manifest.target}"
    kind = (
        f"Where each operator runs, as {who} placed it when it compiled the model; nothing here ran on a device. "
        "Numbers: the order in which they run, as npuface explain --operators lists them."
    )
    write_graph(path, placement, title, kind)


def _why_none(manifest: Manifest, bundle: Path) -> tuple[str, str]:
    from npuface_export.target import target_by_name

    target = target_by_name(manifest.target)
    if target.compiler is None:
        why = f"no compiler places them: {manifest.engine} runs the whole of it on {target.title}"
        return why, "take a bundle for an NPU; npuface targets lists them"
    if manifest.placement is not None:
        return f"it was compiled before bundles kept that, or {target.compiler} does not tell", "compile it again"
    if manifest.precision == "float32" and "float16" not in target.precisions:
        return (
            f"it is float32, which {target.compiler} has not compiled",
            f"run: npuface quantize {bundle} --calibration PICTURES",
        )
    return f"{target.compiler} has not compiled it, or does not tell", f"run: npuface compile {bundle}"
