"""The page that documents every target, made from the same data that the export obeys.

python -m npuface_export.target_page docs/targets.md writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from npuface_export.choose import cost_of
from npuface_export.decode import FORMS, HeatmapSpec
from npuface_export.target import OperatorLimit, Target, targets

_EXAMPLE = HeatmapSpec(points=68, height=64, width=64)
_HEAD = """# Targets

<!-- Made by `make docs` from export/npuface_export/targets/*.toml. Do not edit: a test compares. -->

What NPUFace deploys to. A target is one TOML file of data, in which targets of a family may share a list of operators;
the export reads nothing else about it. Which decode forms it can run, and in which order of cost they are tried, is
worked out below for {points} heatmaps of {height} x {width} cells (a form for networks of another kind: for theirs).
A network gets the cheapest form that keeps its landmarks where the decode that it was trained with has them; its
bundle's manifest records the choice, and `npuface explain` shows it.
"""


def target_page(known: Mapping[str, Target]) -> str:
    """The page in Markdown: a summary table, a section for each target, and one for each list of operators."""
    summary = _table(
        ("target", "what it is", "converter", "compiler", "precisions", "cheapest decode form"),
        [
            (
                f"[{name}](#{name})",
                target.title,
                target.converter,
                target.compiler or "-",
                ", ".join(target.precisions),
                _cheapest_form(target),
            )
            for name, target in known.items()
        ],
    )
    head = _HEAD.format(points=_EXAMPLE.points, height=_EXAMPLE.height, width=_EXAMPLE.width)
    lines = [head, *summary, *(line for target in known.values() for line in _section(target))]
    lists = {_list_name(target): target.operators for target in known.values() if target.operators is not None}
    return "\n".join(lines + [line for name, limits in lists.items() for line in _operators(name, limits)]) + "\n"


def one_target_page(target: Target) -> str:
    """A page of its own for one target, its operators on it; the site has one for each."""
    use = ["", f"    npuface export student-68 --target {target.name} --out bundle"]
    if "int8" in target.precisions:
        use.append("    npuface quantize bundle --calibration pictures/")
    lines = _section(target, heading="#")[1:]  # the heading, what it is, and the rest
    if target.operators is not None:
        lines += _operators(_list_name(target), target.operators)
    return "\n".join([*lines[:3], *use, *lines[3:]]) + "\n"


def _section(target: Target, heading: str = "##") -> list[str]:
    lines = ["", f"{heading} {target.name}", "", f"{target.title}. Source: {target.source}.", ""]
    lines += _table(("decode form", "what it does", "cost", "runs here"), _forms(target))
    lines += ["", f"Cost in about microseconds a face. Source: {target.cost.source}."]
    if target.compiler_options:
        options = " ".join(f"--{key} {value}" for key, value in target.compiler_options.items())
        lines += ["", f"Compiled by {target.compiler} with `{options}`."]
    if target.operators is None:
        return [*lines, "", "The engine runs every operator that the export makes."]
    name = _list_name(target)
    return [*lines, "", f"Takes the [operators of {name}](#operators-of-{name})."]


def _operators(name: str, limits: Mapping[str, OperatorLimit]) -> list[str]:
    rows = [(operator, ", ".join(limit.dtypes), _limits(limit), limit.source) for operator, limit in limits.items()]
    return ["", f"## Operators of {name}", "", *_table(("ONNX operator", "types", "limits", "source"), rows)]


def _list_name(target: Target) -> str:
    return target.operators_from or target.name


def _forms(target: Target) -> list[tuple[str, str, str, str]]:
    """Every form, the cheapest first, as it decodes maps of the example's size."""
    specs = {form.name: replace(_EXAMPLE, kind=form.kinds[0]) for form in FORMS.values()}
    costs = {form.name: cost_of(form, target, specs[form.name]) for form in FORMS.values()}
    ranked = sorted(FORMS.values(), key=lambda form: (costs[form.name], form.name))
    rows = []
    for form in ranked:
        reason = target.refuses_form(form, specs[form.name])
        rows.append((form.name, form.summary, f"{costs[form.name] / 1000:,.0f}", f"no: {reason}" if reason else "yes"))
    return rows


def _cheapest_form(target: Target) -> str:
    decoding = (row for row in _forms(target) if _EXAMPLE.kind in FORMS[row[0]].kinds)
    return next((name for name, _, _, runs in decoding if runs == "yes"), "none")


def _limits(limit: OperatorLimit) -> str:
    parts = []
    if limit.max_kernel_height is not None:
        parts.append(f"kernel height <= {limit.max_kernel_height}")
    if limit.max_kernel_width is not None:
        parts.append(f"kernel width <= {limit.max_kernel_width}")
    if limit.max_kernel_area is not None:
        parts.append(f"kernel area <= {limit.max_kernel_area}")
    if limit.max_stride is not None:
        parts.append(f"stride <= {limit.max_stride}")
    return ", ".join(parts) or "-"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m npuface_export.target_page FILE")
    Path(sys.argv[1]).write_text(target_page(targets()), encoding="utf-8")
