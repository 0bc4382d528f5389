"""What RKNN-Toolkit2 prints while it builds: the layers that run, the memory they take, the nodes that it replaced."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from npuface_runtime.errors import UserError

_TITLE = "Network Layer Information Table"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(r"^[A-Z] RKNN: \[[0-9:.]+\] ?")
_NEEDED = ("ID", "OpType", "DataType", "Target", "Cycles(DDR/NPU/Total)", "RW(KB)", "FullName")
_MAY_BE_BLANK = "SparseRatio"
"""A column that newer chips have; it is empty for layers without weights."""
_CYCLES = re.compile(r"\d+/\d+/(?P<total>\d+)")
_KIBIBYTES = re.compile(r"\d+(\.\d+)?")
_TARGETS = ("NPU", "CPU", "GPU")
_MEMORY = re.compile(r"Total (?P<kind>Internal|Weight) Memory Size: (?P<kib>[0-9.]+)KB")
_REPLACED = re.compile(r"remove node = (?P<old>\[[^\]]*\])(?:, add node = (?P<new>\[[^\]]*\]))?")
_RULER = re.compile(r"[-+]+")


@dataclass(frozen=True)
class Layer:
    """A row of the table of layers.

    Attributes:
        name: the toolkit's own, without the kind in front of it.
        operator: the toolkit's kind, such as Conv, ConvAdd (which ends in an addition) or exDataConvert.
        dtype: INT8, FLOAT16 and so on.
        target: NPU, CPU or GPU.
        cycles: the toolkit's total; 0 where it has no estimate.
        moved_bytes: read and written.
    """

    name: str
    operator: str
    dtype: str
    target: str
    cycles: int
    moved_bytes: int


@dataclass(frozen=True)
class BuildLog:
    """What the toolkit printed of one build.

    Attributes:
        layers: in the order of execution, InputOperator and OutputOperator among them.
        weight_bytes, internal_bytes: of the weights, and of what passes between layers.
        replaced: (nodes, those that the toolkit put in their place), in the order of its rewriting.
    """

    layers: tuple[Layer, ...]
    weight_bytes: int
    internal_bytes: int
    replaced: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


def read_build_log(text: str) -> BuildLog:
    """What a build with verbose=True printed, Python's and the C library's lines mixed.

    Raises:
        UserError: the table of layers, or the memory, is not there or is not as expected: nothing is guessed.
    """
    lines = [_PREFIX.sub("", line.rstrip()) for line in _COLOUR.sub("", text).splitlines()]
    memory = {found["kind"]: round(float(found["kib"]) * 1024) for line in lines if (found := _MEMORY.search(line))}
    for kind in ("Weight", "Internal"):
        if kind not in memory:
            raise _unreadable(f"it does not tell the {kind.lower()} memory")
    return BuildLog(tuple(_layers(lines)), memory["Weight"], memory["Internal"], tuple(_replaced(lines)))


def _layers(lines: Sequence[str]) -> Iterator[Layer]:
    titles = [number for number, line in enumerate(lines) if line.strip() == _TITLE]
    if len(titles) != 1:
        raise _unreadable(f"it has {len(titles)} tables of layers, not one")
    rows = [line for line in lines[titles[0] + 1 :] if line.strip()]
    rulers = [number for number, line in enumerate(rows) if _RULER.fullmatch(line.strip())]
    if len(rulers) < 3 or rulers[:2] != [0, 2]:
        raise _unreadable("the table of layers has no header between lines, or no end")
    columns = rows[1].split()
    if missing := [name for name in _NEEDED if name not in columns]:
        raise _unreadable(f"its table of layers has no column {missing[0]}")
    if rulers[2] == 3:
        raise _unreadable("its table of layers is empty")
    for number, row in enumerate(rows[3 : rulers[2]]):
        yield _layer(_cells(row, columns), number, row)


def _cells(row: str, columns: Sequence[str]) -> Mapping[str, str]:
    """A row's cells, which contain no spaces, by column."""
    values = row.split()
    if len(values) == len(columns) - 1:
        columns = [name for name in columns if name != _MAY_BE_BLANK]
    if len(values) != len(columns):
        raise _unreadable(f"a row of its table of layers has {len(values)} cells for {len(columns)} columns: {row}")
    return dict(zip(columns, values, strict=True))


def _layer(cells: Mapping[str, str], number: int, row: str) -> Layer:
    cycles = _CYCLES.fullmatch(cells["Cycles(DDR/NPU/Total)"])
    kind, colon, name = cells["FullName"].partition(":")
    sound = cycles and _KIBIBYTES.fullmatch(cells["RW(KB)"]) and cells["Target"] in _TARGETS and kind and colon
    if not sound or cells["ID"] != str(number) or cycles is None:
        raise _unreadable(f"a row of its table of layers is not understood: {row}")
    return Layer(
        name=name,
        operator=cells["OpType"],
        dtype=cells["DataType"],
        target=cells["Target"],
        cycles=int(cycles["total"]),
        moved_bytes=round(float(cells["RW(KB)"]) * 1024),
    )


def _replaced(lines: Sequence[str]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Its rewritings: lines such as `RULE: remove node = ['a'], add node = ['b', 'c']`."""
    for line in lines:
        for found in _REPLACED.finditer(line):
            if found["new"]:
                yield tuple(ast.literal_eval(found["old"])), tuple(ast.literal_eval(found["new"]))


def _unreadable(why: str) -> UserError:
    return UserError(
        "cannot read what RKNN-Toolkit2 printed", why, "use the version that `npuface toolchain install` brings"
    )
