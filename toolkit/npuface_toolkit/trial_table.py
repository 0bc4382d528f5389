"""A trial's results as a table: mean and spread over the seeds, and the difference to the first variant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from npuface_runtime.errors import UserError
from npuface_toolkit.trial import Result

Row = tuple[str, ...]
Beside = Mapping[str, Mapping[str, float]]
"""NME by set, as fractions, of what is shown beside the variants, by what the table calls it."""
Taught = Mapping[str, str]
"""What the table calls the teacher of a variant."""


def trial_columns(results: Sequence[Result], taught: Taught) -> Row:
    """Titles of the columns of trial_rows."""
    nme = tuple(f"{kind} NME, {name}" for name in _sets(results) for kind in ("float", "INT8"))
    last = ("INT8 shift, px", "INT8 NME less the float NME of the first row, paired")
    return ("trained with", "runs as", *nme, *last, *(("float NME over the teacher's",) if taught else ()))


def trial_rows(results: Sequence[Result], beside: Beside, taught: Taught) -> list[Row]:
    """One row for each variant and form: mean ± standard deviation over the seeds, in percent of the eye distance.

    After them a row for each network in `beside`. Where there are teachers, a variant's last cell says by how much its
    NME is above its teacher's, set by set.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.variant, result.form), []).append(result)
    sets = _sets(results)
    reference = [r.figures.float_nme[sets[0]] for r in next(iter(groups.values()))]
    rows = []
    for (variant, form), group in groups.items():
        cells = []
        for name in sets:
            cells += [
                _spread([r.figures.float_nme[name] for r in group]),
                _spread([r.figures.int8_nme[name] for r in group]),
            ]
        shift = np.mean([r.figures.shift for r in group])
        difference = np.subtract([r.figures.int8_nme[sets[0]] for r in group], reference)
        over = _over_teacher(group, beside[taught[variant]]) if variant in taught else ("-",) * bool(taught)
        rows.append((variant, form, *cells, f"{shift:.3f}", f"{100 * difference.mean():+.2f}", *over))
    width = len(trial_columns(results, taught))
    for called, nme in beside.items():
        row = (called, "as it is", *(cell for name in sets for cell in (f"{100 * nme[name]:.2f}", "-")))
        rows.append(row + ("-",) * (width - len(row)))
    return rows


def _sets(results: Sequence[Result]) -> tuple[str, ...]:
    if not results:
        raise UserError("there is nothing to show", "no variant is measured", "name decode forms in `measured`")
    return tuple(results[0].figures.float_nme)


def _over_teacher(group: Sequence[Result], teacher: Mapping[str, float]) -> Row:
    ratios = [float(np.mean([r.figures.float_nme[name] for r in group])) / nme for name, nme in teacher.items()]
    return (" / ".join(f"{100 * (ratio - 1):+.1f} %" for ratio in ratios),)


def trial_markdown(results: Sequence[Result], beside: Beside, taught: Taught) -> str:
    """The table for documents."""
    columns = trial_columns(results, taught)
    lines = [columns, ("---",) * len(columns), *trial_rows(results, beside, taught)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def trial_json(results: Sequence[Result], beside: Beside) -> str:
    """Every single result, and the NME of what is beside them."""
    return json.dumps({"results": [asdict(result) for result in results], "beside": beside}, indent=2) + "\n"


def _spread(values: Sequence[float]) -> str:
    return (
        f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}"
        if len(values) > 1
        else f"{100 * values[0]:.2f}"
    )
