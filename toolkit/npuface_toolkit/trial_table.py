"""A trial's results as a table: mean and spread over the seeds, and the difference to the first variant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from npuface_toolkit.trial import Result

Row = tuple[str, ...]


def trial_columns(results: Sequence[Result]) -> Row:
    """Titles of the columns of trial_rows."""
    sets = tuple(results[0].figures.float_nme)
    nme = tuple(f"{kind} NME, {name}" for name in sets for kind in ("float", "INT8"))
    return ("trained with", "runs as", *nme, "INT8 shift, px", "INT8 NME less the float NME of the first row, paired")


def trial_rows(results: Sequence[Result]) -> list[Row]:
    """One row for each variant and form: mean ± standard deviation over the seeds, in percent of the eye distance."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.variant, result.form), []).append(result)
    sets = tuple(results[0].figures.float_nme)
    reference = [result.figures.float_nme[sets[0]] for result in next(iter(groups.values()))]
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
        rows.append((variant, form, *cells, f"{shift:.3f}", f"{100 * difference.mean():+.2f}"))
    return rows


def trial_markdown(results: Sequence[Result]) -> str:
    """The table for documents."""
    columns = trial_columns(results)
    lines = [columns, ("---",) * len(columns), *trial_rows(results)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def trial_json(results: Sequence[Result]) -> str:
    """Every single result."""
    return json.dumps([asdict(result) for result in results], indent=2) + "\n"


def _spread(values: Sequence[float]) -> str:
    return (
        f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}"
        if len(values) > 1
        else f"{100 * values[0]:.2f}"
    )
