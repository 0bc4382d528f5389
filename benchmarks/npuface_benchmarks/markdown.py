"""A benchmark as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from npuface_benchmarks.facts import machine_facts
from npuface_benchmarks.peer_table import peer_table, verdicts
from npuface_benchmarks.record import Record
from npuface_benchmarks.tables import Group, Table, answer_tables, detail_tables

_SPECIAL = re.compile(r"([\\`*_\[\]<>|])")


def markdown_tables(record: Record) -> str:
    """The tables that answer, under their titles: for a README."""
    return "\n\n".join(markdown_table(table) for table in answer_tables(record))


def markdown_table(table: Table) -> str:
    """A table under its title, figures to the right."""
    lines = [
        _line([column.title for column in table.columns]),
        f"| {' | '.join('---:' if column.is_figure else '---' for column in table.columns)} |",
        *(_line(row) for group in table.groups for row in _rows(group)),
    ]
    return f"**{_escape(table.title)}**\n\n" + "\n".join(lines)


def markdown_report(record: Record, picture: str) -> str:
    """The whole report; `picture` is the file name of the annotated picture beside it."""
    numbers = (f"- **{_escape(name)}**: {_escape(what)}." for name, what in record.numbers.items())
    machine = (f"- {_escape(name)}: {_escape(text)}" for name, text in machine_facts(record).items())
    beside = peer_table(record)
    parts = [
        "# NPUFace benchmark",
        *map(_escape, verdicts(record)),
        markdown_tables(record),
        *([markdown_table(beside)] if beside else []),
        *(markdown_table(table) for table in detail_tables(record)),
        f"![The landmarks on the picture]({picture})",
        "## What each number is",
        "\n".join(numbers),
        "## Machine",
        "\n".join(machine),
    ]
    return "\n\n".join(parts) + "\n"


def _rows(group: Group) -> Iterator[tuple[str, ...]]:
    """The rows of a group; the shared cells stand in the first."""
    blank = ("",) * len(group.shared)
    return ((*(blank if i else group.shared), *row) for i, row in enumerate(group.rows))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escape(cell) for cell in cells)} |"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
