"""The compatibility matrix as a page: one table for each network, refusals and what is on a CPU below it.

python -m npuface_benchmarks.matrix_page docs/matrix.md writes the page from the record beside it, matrix.json, which
`npuface matrix` measures.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from npuface_benchmarks.matrix import Cell, Matrix
from npuface_benchmarks.plain_record import plain_bytes, read_plain
from npuface_benchmarks.record import Estimate

FILE_NAME = "matrix.json"
_COLUMNS = (
    "target",
    "compiles",
    "operators: NPU",
    "CPU",
    "decode form",
    "shift, mean / max heatmap px",
    "by",
    "cost: estimated, sizes exact where noted",
)
_HEAD = """# What runs where

<!-- Made by `make docs` from matrix.json, which `npuface matrix` measures. Do not edit: a test compares. -->

Every network on every target, by the targets' own tools. No board ran: a shift is what the vendor's emulator, or the
engine that runs the same integers, makes of real faces; an estimate is the vendor compiler's. Times of an emulation are
nowhere taken for latency. Measured with

    npuface matrix --model student-68 --model ... --calibration pictures/ --out docs

`student-68` and `light-68` are the students that ship, `openseeface` is the network of OpenSeeFace as its authors
publish it (`--model FILE.toml`). `high-resolution-68` is of HRNet's kind, trained by `npuface train --config
high-resolution-68` in one pass over the faces: its peaks are faint, and INT8 moves them far. `light-68` was calibrated
with 92 pictures of YouTube Faces, every thirty-first face that it was trained on.
"""


def read_matrix(path: Path) -> Matrix:
    """Read what was measured.

    Raises:
        UserError: the file is missing or holds something else.
    """
    return read_plain(Matrix, path, "matrix", "npuface matrix --calibration DIR")


def matrix_bytes(matrix: Matrix) -> bytes:
    """The record as its file holds it."""
    return plain_bytes(asdict(matrix))


def matrix_page(matrix: Matrix) -> str:
    """The page in Markdown."""
    lines = [_HEAD]
    for model, what in matrix.models.items():
        cells = [cell for cell in matrix.cells if cell.model == model]
        lines += [f"## {model}", "", f"{what}.", "", *_table(cells), *_notes(cells), ""]
    tools = ", ".join(f"{name} {version}" for name, version in sorted(matrix.tools.items()))
    return "\n".join([*lines, f"Measured with {tools}.", ""])


def matrix_rows(cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """A row of text for each cell, in the order of `matrix_columns`, without the notes."""
    return [_row(cell, "") for cell in cells]


def matrix_columns() -> tuple[str, ...]:
    """Titles of the columns."""
    return _COLUMNS


def _table(cells: Sequence[Cell]) -> list[str]:
    rows = [_row(cell, f" [{number}]" if number else "") for cell, number in _numbered(cells)]
    lines = [_COLUMNS, ["---"] * len(_COLUMNS), *rows]
    return ["| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in lines]


def _notes(cells: Sequence[Cell]) -> list[str]:
    """Why a cell is refused or has operators on a CPU, and what its target or estimate says of itself."""
    targets: dict[int, list[str]] = {}
    told: dict[int, str] = {}
    for cell, number in _numbered(cells):
        if number:
            targets.setdefault(number, []).append(cell.target)
            told[number] = ". ".join(text[:1].upper() + text[1:] for text in _remarks(cell))
    notes = [f"{number}. {', '.join(names)}: {told[number]}." for number, names in targets.items()]
    return ["", *notes] if notes else []


def _numbered(cells: Sequence[Cell]) -> list[tuple[Cell, int]]:
    """Cells with the numbers of their notes, from 1 on, alike for those of which the same is to be said; 0 without."""
    numbers: dict[tuple[str, ...], int] = {}
    remarks = [tuple(_remarks(cell)) for cell in cells]
    for said in remarks:
        if said:
            numbers.setdefault(said, len(numbers) + 1)
    return [(cell, numbers.get(said, 0)) for cell, said in zip(cells, remarks, strict=True)]


def _remarks(cell: Cell) -> list[str]:
    told: list[str | None] = [" ".join(cell.refused.split()) if cell.refused else None]
    told += [cell.contradicted, *(cell.cpu_operators if cell.is_npu else ())]
    told += [cell.note, cell.estimate.note if cell.estimate else None]
    return [text.rstrip(".") for text in told if text]


def _row(cell: Cell, mark: str) -> tuple[str, ...]:
    if cell.refused is not None:
        return (cell.target, f"no{mark}", *("-",) * (len(_COLUMNS) - 2))
    compiled = "compiles, but wrongly" if cell.contradicted else "yes" if cell.is_npu else "runs as it is"
    shift = "-" if cell.shift_px is None else f"{cell.shift_px:.3f} / {cell.shift_max_px or 0:.2f} ({cell.faces} faces)"
    return (
        cell.target,
        compiled + mark,
        _count(cell.npu),
        _count(cell.cpu),
        f"{cell.form}, {cell.precision}",
        shift,
        cell.oracle or "-",
        _estimate(cell.estimate),
    )


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    parts: list[Any] = []
    if estimate.total_ms is not None:
        parts.append(f"{estimate.total_ms:.2f} ms")
    if estimate.decode_ms is not None:
        parts.append(f"decode {estimate.decode_ms:+.2f} ms")
    if estimate.cycles is not None and estimate.total_ms is None:
        parts.append(f"{estimate.cycles / 1e6:.2f} M cycles")
    for name, amount in (
        ("SRAM", estimate.sram_bytes),
        ("flash", estimate.flash_bytes),
        ("moved", estimate.moved_bytes),
    ):
        if amount:
            parts.append(f"{name} {amount / 1024:,.0f} KiB")
    return ", ".join(parts) or "-"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m npuface_benchmarks.matrix_page FILE")
    file = Path(sys.argv[1])
    file.write_text(matrix_page(read_matrix(file.parent / FILE_NAME)), encoding="utf-8")
