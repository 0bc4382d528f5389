"""Where the operators of a graph stand in a picture: layers by the longest path, wrapped into columns, and the lines.

Lengths are in widths and heights of a box. x grows to the right, y downwards; a box's position is its centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from npuface_export.compilers import PlacedOperator

PITCH_X, PITCH_Y = 1.1, 1.75
"""From one box to the next in a layer, and from one layer to the next."""
_LANE, _MARGIN = 0.1, 0.16
"""Between two lines that run beside a column, and between these and the boxes."""
_LEAVES, _ENTERS = 0.22, 0.5
"""How far below its source a line turns, as a share of the gap between two layers, and how far above its goal."""
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """What an operator reads.

    Attributes:
        source, goal: indices of the operators.
        points: corners of the line, from the bottom of the source to the top of the goal.
    """

    source: int
    goal: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Layout:
    """A graph that is laid out.

    Attributes:
        boxes: the centre of each operator's box, in the operators' order.
        lines: one for each result that an operator reads.
        width, height: of the whole.
    """

    boxes: tuple[Point, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


def layers(operators: Sequence[PlacedOperator]) -> list[int]:
    """The layer of each operator: the number of operators on the longest path to it."""
    found: list[int] = []
    for operator in operators:
        found.append(1 + max((found[i] for i in operator.reads), default=-1))
    return found


def lay_out(operators: Sequence[PlacedOperator], aspect: float) -> Layout:
    """Lay a graph out in as many columns as bring its width over its height next to `aspect`.

    Args:
        operators: in the order of execution; at least one.
        aspect: in box widths over box heights.
    """
    depth = 1 + max(layers(operators))
    tried = {-(-depth // columns) for columns in range(1, depth + 1)}
    drawn = (_wrapped(operators, rows) for rows in sorted(tried))
    return min(drawn, key=lambda one: abs(one.width / one.height - aspect))


def _wrapped(operators: Sequence[PlacedOperator], rows: int) -> Layout:
    """Laid out with that many layers in a column."""
    cells = _cells(operators, rows)
    routes = _Routes(operators, cells)
    lefts, left = [], _MARGIN
    for column in range(1 + max(cell.column for cell in cells)):
        lefts.append(left)
        left += routes.width(column)
    top = routes.top_height()
    boxes = tuple((lefts[cell.column] + 0.5 + cell.slot * PITCH_X, top + 0.5 + cell.row * PITCH_Y) for cell in cells)
    bottom = max(y for _, y in boxes) + 0.5 + (PITCH_Y - 1)
    return Layout(boxes, tuple(routes.lines(boxes, lefts)), left, bottom)


@dataclass(frozen=True)
class _Cell:
    """Where an operator stands: its column, its row there, and its place in the row."""

    column: int
    row: int
    slot: int


def _cells(operators: Sequence[PlacedOperator], rows: int) -> list[_Cell]:
    """The cell of each operator: below one that it reads, if that is free."""
    level = layers(operators)
    taken: set[tuple[int, int]] = set()
    slots: list[int] = []
    for operator, layer in zip(operators, level, strict=True):
        slot = min((slots[i] for i in operator.reads if level[i] == layer - 1), default=0)
        while (layer, slot) in taken:
            slot += 1
        taken.add((layer, slot))
        slots.append(slot)
    return [_Cell(layer // rows, layer % rows, slot) for layer, slot in zip(level, slots, strict=True)]


class _Routes:
    """The ways of the lines: straight down to the next row, or in lanes beside the boxes and above the columns.

    Args:
        operators: of the graph.
        cells: where each stands.
    """

    def __init__(self, operators: Sequence[PlacedOperator], cells: Sequence[_Cell]) -> None:
        self._cells = cells
        self._widest: dict[tuple[int, int], int] = {}  # column, row -> its last slot
        for cell in cells:
            place = cell.column, cell.row
            self._widest[place] = max(cell.slot, self._widest.get(place, 0))
        self._edges = [(source, goal) for goal, operator in enumerate(operators) for source in operator.reads]
        self._spans: dict[tuple[int, int], list[list[tuple[float, float]]]] = {}  # column, slot -> lane -> what is used
        self._over: dict[tuple[int, int], int] = {}  # source, goal -> lane above the columns
        self._ways: dict[tuple[int, int], tuple[tuple[int, float], ...]] = {}  # source, goal -> column and x of lanes
        for edge in sorted(set(self._edges), key=lambda edge: (edge[1] - edge[0], edge)):
            self._ways[edge] = self._way(*edge)

    def width(self, column: int) -> float:
        """Of a column with the lanes on its right."""
        slot = self._last_slot(column)
        return slot * PITCH_X + 1 + 2 * _MARGIN + _LANE * len(self._spans.get((column, slot), []))

    def top_height(self) -> float:
        """Room above the columns."""
        return (PITCH_Y - 1) + 2 * _LANE * len(self._over) + _MARGIN

    def lines(self, boxes: Sequence[Point], lefts: Sequence[float]) -> list[Line]:
        """Every line, where the columns begin at x = `lefts`."""
        return [Line(source, goal, self._points(source, goal, boxes, lefts)) for source, goal in self._edges]

    def _last_slot(self, column: int, rows: range | None = None) -> int:
        """The last one that a box stands in, in some rows of a column or in all."""
        slots = (slot for (c, row), slot in self._widest.items() if c == column and (rows is None or row in rows))
        return max(slots, default=0)

    def _way(self, source: int, goal: int) -> tuple[tuple[int, float], ...]:
        """The lanes that a line takes: the column of each, and its x from where the column begins."""
        first, last = self._cells[source], self._cells[goal]
        leaves, enters = first.row + 0.5, last.row - 0.5
        if first.column == last.column:
            if last.row == first.row + 1:
                return ()
            slot = self._last_slot(first.column, range(first.row + 1, last.row))
            return ((first.column, self._lane(first.column, slot, leaves, enters)),)
        slot = self._last_slot(first.column)
        if last.column == first.column + 1:
            return ((first.column, self._lane(first.column, slot, leaves, enters)),)
        self._over[source, goal] = len(self._over)
        before = last.column - 1
        return (
            (first.column, self._lane(first.column, slot, -1.0, leaves)),
            (before, self._lane(before, self._last_slot(before), -1.0, enters)),
        )

    def _lane(self, column: int, slot: int, start: float, end: float) -> float:
        """x of the first lane on the right of a slot that is free from one height to another."""
        low, high = min(start, end), max(start, end)
        lanes = self._spans.setdefault((column, slot), [])
        free = (i for i, spans in enumerate(lanes) if all(high < begun or low > ended for begun, ended in spans))
        number = next(free, len(lanes))
        if number == len(lanes):
            lanes.append([])
        lanes[number].append((low, high))
        return slot * PITCH_X + 1 + _MARGIN + _LANE * number

    def _points(self, source: int, goal: int, boxes: Sequence[Point], lefts: Sequence[float]) -> tuple[Point, ...]:
        (x0, y0), (x1, y1) = boxes[source], boxes[goal]
        start, end = (x0, y0 + 0.5), (x1, y1 - 0.5)
        leaves, enters = start[1] + _LEAVES * (PITCH_Y - 1), end[1] - _ENTERS * (PITCH_Y - 1)
        across = [lefts[column] + x for column, x in self._ways[source, goal]]
        if not across:
            return start, end
        if len(across) == 1:
            return start, (x0, leaves), (across[0], leaves), (across[0], enters), (x1, enters), end
        over = _MARGIN + 2 * _LANE * self._over[source, goal]
        beside, before = across
        down = ((beside, over), (before, over), (before, enters), (x1, enters), end)
        return start, (x0, leaves), (beside, leaves), *down
