"""The page that documents every target, made from the same data that the export obeys.

python -m npuface_export.target_page docs/targets.md writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from npuface_export.decode import FORMS, HeatmapSpec
from npuface_export.target import OperatorLimit, Target, targets

_EXAMPLE = HeatmapSpec(points=68, height=64, width=64)
_HEAD = """# Targets

<!-- Made by `make docs` from export/npuface_export/targets/*.toml. Do not edit: a test compares. -->

What NPUFace deploys to. A target is one TOML file of data; the export reads nothing else about it. Which decode
forms it can run is worked out below for {points} heatmaps of {height} x {width} cells; a bundle's manifest records
it for its own.
"""


def target_page(known: Mapping[str, Target]) -> str:
    """The page in Markdown: a summary table, then a section for each target."""
    summary = _table(
        ("target", "what it is", "converter", "compiler", "precisions", "default decode form"),
        [
            (
                f"[{name}](#{name})",
                target.title,
                target.converter,
                target.compiler or "-",
                ", ".join(target.precisions),
                _default_form(target),
            )
            for name, target in known.items()
        ],
    )
    head = _HEAD.format(points=_EXAMPLE.points, height=_EXAMPLE.height, width=_EXAMPLE.width)
    return "\n".join([head, *summary, *(line for target in known.values() for line in _section(target))]) + "\n"


def _section(target: Target) -> list[str]:
    lines = ["", f"## {target.name}", "", f"{target.title}. Source: {target.source}.", ""]
    lines += _table(("decode form", "what it does", "runs here"), _forms(target))
    if target.compiler_options:
        options = " ".join(f"--{key} {value}" for key, value in target.compiler_options.items())
        lines += ["", f"Compiled by {target.compiler} with `{options}`."]
    if target.operators is None:
        return [*lines, "", "The engine runs every operator that the export makes."]
    rows = [(name, ", ".join(limit.dtypes), _kernel(limit), limit.source) for name, limit in target.operators.items()]
    return [*lines, "", *_table(("ONNX operator", "types", "kernel", "source"), rows)]


def _forms(target: Target) -> list[tuple[str, str, str]]:
    ranked = sorted(FORMS.values(), key=lambda form: form.rank)
    reasons = ((form, target.refuses_form(form, _EXAMPLE)) for form in ranked)
    return [(form.name, form.summary, f"no: {reason}" if reason else "yes") for form, reason in reasons]


def _default_form(target: Target) -> str:
    return next((name for name, _, runs in _forms(target) if runs == "yes"), "none")


def _kernel(limit: OperatorLimit) -> str:
    parts = []
    if limit.max_kernel_height is not None:
        parts.append(f"height <= {limit.max_kernel_height}")
    if limit.max_kernel_area is not None:
        parts.append(f"area <= {limit.max_kernel_area}")
    return ", ".join(parts) or "-"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m npuface_export.target_page FILE")
    Path(sys.argv[1]).write_text(target_page(targets()), encoding="utf-8")
