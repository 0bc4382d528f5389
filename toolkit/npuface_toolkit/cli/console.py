"""What every command shares: clean stdout for --json, progress on stderr, one message for a user's mistake."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from npuface_benchmarks import tables as benchmark_tables
from npuface_runtime.errors import UserError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; everything else on stderr.")]

_FILE_WIDTH = 160
"""Columns where the result goes to a file or a pipe."""

errors = Console(stderr=True)


class CheckFailedError(Exception):
    """A check that the command makes did not hold: exit code 1."""


def given_options(options: Mapping[str, object]) -> str:
    """Those that the user gave, as they are written: `--out, --data`; empty for none."""
    return ", ".join(f"--{name}" for name, value in options.items() if value is not None)


class Output:
    """Where a command puts its result.

    Args:
        as_json: print the result as one JSON object instead of a table.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._result: Mapping[str, Any] | None = None
        self._tables: list[RenderableType] = []

    def result(self, data: Mapping[str, Any], *shown: RenderableType) -> None:
        """The command's result: for machines, and how people see it."""
        self._result, self._tables = data, list(shown)

    def print(self, stdout: int) -> None:
        """Write the result to the file descriptor that was stdout."""
        with os.fdopen(os.dup(stdout), "w", encoding="utf-8") as stream:
            if self.as_json:
                stream.write(json.dumps(self._result, indent=2, allow_nan=False) + "\n")
            else:
                console = Console(file=stream, width=None if stream.isatty() else _FILE_WIDTH)
                for shown in self._tables:
                    console.print(shown)


@contextmanager
def output(as_json: bool, doing: str) -> Iterator[Output]:
    """Run a command's body with a progress line on stderr and stdout kept for the result alone.

    Libraries and vendor tools print to stdout as they please; for the time of the command that goes to stderr.
    """
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    out = Output(as_json)
    try:
        with errors.status(doing) as status, _progress(status):
            yield out
        sys.stdout.flush()
        out.print(stdout)
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)


@contextmanager
def _progress(status: Any) -> Iterator[None]:
    """Show the log lines of NPUFace as the progress; a terminal sees the last, a file sees them all."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = escape(record.getMessage())
            if errors.is_terminal:
                status.update(text)
            else:
                errors.print(text)

    handler = Handler()
    logger = logging.getLogger("npuface")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # some tools give the root logger a handler of its own: every line would come twice
    try:
        yield
    finally:
        logger.removeHandler(handler)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A rich table; numbers to the right."""
    shown = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        numeric = all(isinstance(row[i], int | float) for row in rows)
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(str(cell)) for cell in row))
    return shown


def measured_table(measured: benchmark_tables.Table) -> Table:
    """A benchmark's table for the terminal; figures to the right."""
    shown = Table(title=measured.title, title_justify="left")
    for column in measured.columns:
        shown.add_column(column.title, justify="right" if column.is_figure else "left")
    for group in measured.groups:
        for i, row in enumerate(group.rows):
            first = group.shared if i == 0 else ("",) * len(group.shared)
            shown.add_row(*(escape(cell) for cell in (*first, *row)))
    return shown


def report_error(error: UserError, as_json: bool) -> None:
    """Tell the user what is wrong, why, and what to do."""
    if as_json:
        print(json.dumps(error.as_json(), indent=2))
        return
    errors.print(f"[bold red]error:[/] {escape(error.what)}")
    errors.print(f"  why: {escape(error.why)}")
    errors.print(f"  fix: {escape(error.fix)}")
