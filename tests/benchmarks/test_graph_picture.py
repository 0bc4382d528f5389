"""The picture of a graph: every operator once, in the colour of where it runs, lines that meet no box, files whole."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from npuface_benchmarks.graph_layout import Layout, Line, lay_out, layers
from npuface_benchmarks.graph_picture import COLOURS, graph_figure, write_graph
from npuface_export.compilers import PlacedOperator, Placement
from npuface_export.compilers.placement import BODY, CPU, DECODE, NPU
from npuface_runtime.errors import UserError


def operator(kind: str, *reads: int, device: str = NPU, part: str = BODY) -> PlacedOperator:
    return PlacedOperator(f"net/{kind}", kind, device, part, reads, "no such kernel" if device == CPU else None)


def hourglass(depth: int) -> list[PlacedOperator]:
    """A chain of residual blocks, with connections from its first half to its second, and a decode in branches."""
    made = [operator("PAD")]
    blocks = []
    for level in range(2 * depth):
        entry = len(made) - 1
        made.append(operator("CONV_2D", entry))
        made.append(operator("DEPTHWISE_CONV_2D", entry + 1))
        made.append(operator("ADD", entry, entry + 2))
        blocks.append(len(made) - 1)
        if level >= depth:
            made.append(operator("ADD", len(made) - 1, blocks[2 * depth - 1 - level]))
    heatmaps = len(made) - 1
    made += [operator("MAX_POOL_2D", heatmaps, device=CPU, part=DECODE)]
    made += [operator("MUL", heatmaps, heatmaps + 1, part=DECODE)]
    made += [operator("RESIZE_NEAREST_NEIGHBOR", heatmaps + 2, part=DECODE) for _ in range(4)]
    made += [operator("CONCATENATION", *range(heatmaps + 3, heatmaps + 7), heatmaps + 1, part=DECODE)]
    return made


def boxes_hit(layout: Layout) -> list[tuple[int, int, int]]:
    """Lines that run through a box which is not theirs: source, goal, box. Slanted pieces are short and left out."""
    hit = []
    for line in layout.lines:
        for (x0, y0), (x1, y1) in zip(line.points, line.points[1:], strict=False):
            if x0 != x1 and y0 != y1:
                continue
            for index, (x, y) in enumerate(layout.boxes):
                beside = max(x0, x1) <= x - 0.499 or min(x0, x1) >= x + 0.499
                over = max(y0, y1) <= y - 0.499 or min(y0, y1) >= y + 0.499
                if not beside and not over:
                    hit.append((line.source, line.goal, index))
    return hit


def drawn_boxes(figure: Figure) -> dict[str, str]:
    """The colour of every operator's box by its gid."""
    (axes,) = figure.axes
    found = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    assert len({box.get_gid() for box in found}) == len(found)
    return {str(box.get_gid()): to_hex(box.get_facecolor()) for box in found}


@pytest.mark.parametrize("depth", [1, 4, 14])
@pytest.mark.parametrize("aspect", [0.1, 0.4, 2.0])
def test_a_layout_has_every_box_and_line_once_and_apart(depth: int, aspect: float) -> None:
    operators = hourglass(depth)
    layout = lay_out(operators, aspect)
    assert layout == lay_out(operators, aspect)
    assert len(layout.boxes) == len(operators)
    for i, (x0, y0) in enumerate(layout.boxes):
        assert 0.5 <= x0 <= layout.width - 0.5
        assert 0.5 <= y0 <= layout.height - 0.5
        assert all(abs(x0 - x1) >= 1 or abs(y0 - y1) >= 1 for x1, y1 in layout.boxes[:i])
    lines = Counter((line.source, line.goal) for line in layout.lines)
    assert lines == Counter((read, goal) for goal, one in enumerate(operators) for read in one.reads)
    assert all(0 <= x <= layout.width and 0 <= y <= layout.height for line in layout.lines for x, y in line.points)
    assert boxes_hit(layout) == []


def test_a_line_through_a_box_is_caught() -> None:
    chain = [operator("A"), operator("B", 0), operator("C", 0, 1)]
    layout = lay_out(chain, 0.1)
    through = Line(0, 2, (layout.boxes[0], layout.boxes[2]))
    assert boxes_hit(layout) == []
    assert (0, 2, 1) in boxes_hit(Layout(layout.boxes, (through,), layout.width, layout.height))


def test_layers_follow_the_longest_path() -> None:
    operators = [operator("A"), operator("B", 0), operator("C", 1), operator("D", 0, 2), operator("E", 0)]
    assert layers(operators) == [0, 1, 2, 3, 1]


def test_a_wider_picture_has_more_columns() -> None:
    tall, wide = (lay_out(hourglass(10), aspect) for aspect in (0.05, 3.0))
    assert tall.width / tall.height < wide.width / wide.height


def test_every_operator_has_the_colour_of_its_device_and_the_decode_its_background() -> None:
    operators = hourglass(3)
    figure = graph_figure(Placement(tuple(operators)), "title", "kind")
    boxes = drawn_boxes(figure)
    assert boxes == {f"operator-{i}": COLOURS[one.device] for i, one in enumerate(operators)}
    assert Counter(boxes.values()) == {COLOURS[NPU]: len(operators) - 1, COLOURS[CPU]: 1}
    behind = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert len(behind) == sum(one.part == DECODE for one in operators)
    words = [text.get_text() for text in figure.axes[0].texts]
    for i, one in enumerate(operators):
        assert sum(re.sub(r"\n", "", word.replace(" ", "")) == f"{i}{one.operator}" for word in words) == 1


def test_without_an_operator_on_the_cpu_its_colour_is_not_drawn() -> None:
    """Negative control: the same graph, moved to the NPU."""
    moved = [PlacedOperator(one.name, one.operator, NPU, one.part, one.reads) for one in hourglass(3)]
    figure = graph_figure(Placement(tuple(moved)), "title", "kind")
    assert set(drawn_boxes(figure).values()) == {COLOURS[NPU]}
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == [f"{len(moved)} operators on the NPU", "0 on the CPU"]
    assert not any("On the CPU" in text.get_text() for text in figure.texts)


def test_an_svg_says_what_it_shows_and_is_the_same_each_time(tmp_path: Path) -> None:
    placement = Placement(tuple(hourglass(2)))
    for name in ("one.svg", "two.SVG"):
        write_graph(tmp_path / "new" / name, placement, "b: net for <chip> $x", "as the compiler placed it")
    first = (tmp_path / "new" / "one.svg").read_bytes()
    assert (tmp_path / "new" / "two.SVG").read_bytes() == first
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["one.svg", "two.SVG"]
    shown = " ".join(ElementTree.fromstring(first).itertext())
    for words in (
        "b: net for <chip> $x",
        "as the compiler placed it",
        f"{placement.npu} operators on the NPU",
        "1 on the CPU",
        "decode, which makes coordinates of heatmaps: 6 on the NPU, 1 on the CPU",
        "On the CPU: 1 MAX_POOL_2D. no such kernel",
    ):
        assert words in shown


def test_a_png_is_written_and_another_suffix_is_refused(tmp_path: Path) -> None:
    placement = Placement((operator("CONV_2D"),))
    write_graph(tmp_path / "one.png", placement, "title", "kind")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    for name, why in (("graph.pdf", ".pdf is no format for it"), ("graph", "no suffix is no format for it")):
        with pytest.raises(UserError) as caught:
            write_graph(tmp_path / name, placement, "title", "kind")
        assert caught.value.why == why
        assert caught.value.fix == "name it .png or .svg"
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]
