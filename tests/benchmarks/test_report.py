from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from example_record import npu_result, record, result
from numpy.typing import NDArray

from npuface_benchmarks.facts import opening_facts
from npuface_benchmarks.markdown import markdown_report, markdown_tables
from npuface_benchmarks.record import BundleResult, Record
from npuface_benchmarks.report import html_report, write_report
from npuface_runtime.errors import UserError

ROOT = Path(__file__).parent.parent.parent
FILES = {"report.json", "report.md", "report.html", "face.png"}
HOSTILE = '<script>alert("x")</script> | `rm` [a](http://evil.example/) $\\frac \x01'


class Page(HTMLParser):
    """Text, tags and the resources that a page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.resources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.resources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def external(html: str) -> list[str]:
    """What a page would fetch from elsewhere."""
    page = Page(html)
    loaded = [value for value in page.resources if not value.startswith("data:")]
    return loaded + re.findall(r"@import|url\((?!['\"]?data:)[^)]*\)|(?:https?:)?//\w[\w.]+\.\w+", html)


def plots(html: str) -> Iterator[str]:
    for value in Page(html).resources:
        if value.startswith("data:image/svg+xml;base64,"):
            yield base64.b64decode(value.partition(",")[2]).decode()


@pytest.fixture(scope="module")
def grey() -> NDArray[np.uint8]:
    return np.full((300, 400, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def html(grey: NDArray[np.uint8]) -> str:
    return html_report(record(), grey)


def test_the_page_has_the_numbers(html: str) -> None:
    text = Page(html).text
    for number in ("544", "278,528", "36.50", "+1.96", "+17.88", "1,536", "0.062 / 0.438", "33.29", "33.06", "0.99"):
        assert number in text
    for words in ("ethos-u55-128", "relative-threshold", "seed", "openvino-cpu (openvino)", "int8, decode int16"):
        assert words in text
    for what in record().numbers.values():
        assert what in text
    assert "Some CPU, 2 cores" in text
    assert "64: more than the machine's cores" in text
    assert "1.25 (1.56)" in text


@pytest.mark.parametrize(
    "word", ["prepare", "decode", "map", "after network", "total", "runtime alone", "energy", "SRAM", "flash"]
)
def test_the_report_says_what_each_column_is(word: str) -> None:
    assert any(word in name for name in record().numbers)
    assert word in (ROOT / "docs" / "bench.md").read_text()


def test_the_report_says_that_columns_need_not_add_up_and_why_there_is_no_energy(html: str) -> None:
    told = Page(html).text, markdown_report(record(), "face.png")
    assert all("need not add up" in text for text in told)
    assert all("not measured: there is no energy counter" in text for text in told)
    assert "not measured" not in markdown_report(replace(record(), no_energy=None), "face.png")


def test_the_page_loads_nothing(html: str) -> None:
    assert external(html) == []


@pytest.mark.parametrize(
    "addition",
    [
        '<img src="https://example.org/x.png">',
        '<link rel="stylesheet" href="style.css">',
        "<style>@import 'x.css';</style>",
        "<style>p { background: url(x.png) }</style>",
        "<script>fetch('//example.org/x')</script>",
    ],
)
def test_the_check_for_external_resources_can_fail(html: str, addition: str) -> None:
    assert external(html.replace("</body>", f"{addition}</body>"))


def test_plots_are_svg_with_every_bundle(html: str) -> None:
    npu, cpu = plots(html)
    for plot in (npu, cpu):
        ElementTree.fromstring(plot)
    assert "ethos-u55-128 (published): seed" in npu
    assert "36.50 +17.88" in npu
    assert "onnxruntime-cpu, 2 thr.: coordinates" in cpu
    assert all(f">{stage}<" in cpu for stage in ("prepare", "network", "transfer", "decode", "map"))


def hostile_record() -> Record:
    return record(
        npu_result(HOSTILE, HOSTILE, 1.0, name=HOSTILE), replace(result("x", "onnxruntime-cpu"), label=HOSTILE)
    )


def test_a_hostile_name_stays_text_in_the_page(grey: NDArray[np.uint8]) -> None:
    html = html_report(hostile_record(), grey)
    page = Page(html)
    assert "script" not in page.tags
    assert "a" not in page.tags
    assert '<script>alert("x")</script> | `rm`' in page.text
    for plot in plots(html):
        assert not [element for element in ElementTree.fromstring(plot).iter() if element.tag.endswith("script")]


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    odd = record(result(os.fsdecode(b"bundle-\xff"), "onnxruntime-cpu"))
    write_report(odd, tmp_path, grey)
    assert "bundle-?" in (tmp_path / "report.html").read_text()
    assert Record.from_text((tmp_path / "report.json").read_text()) == odd


def test_a_hostile_name_stays_a_cell_in_markdown() -> None:
    tables = markdown_tables(hostile_record())
    assert "<script>" not in re.sub(r"\\<", "", tables)
    rows = [line for line in tables.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows[:3]} == {12}


def test_markdown_tables_have_a_cell_a_column() -> None:
    tables = [part for part in markdown_tables(record()).split("\n\n") if part.startswith("|")]
    assert len(tables) == 2
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert (
        "| ethos-u55-128 | relative-threshold | int8, decode int16 | 0 | 544 | 278,528 | 36.50 | +1.96 |" in tables[0]
    )
    assert tables[1].splitlines()[3].startswith("|  |  |  |  |  |  | 2 | 19.29 |")


def test_facts_open_with_the_first_npu() -> None:
    facts = {fact.value: fact for fact in opening_facts(record())}
    assert list(facts) == ["512×", "0", "+1.96 ms", "0.062 px", "0.99×"]
    assert "seed: +17.88 ms" in facts["+1.96 ms"].meaning
    assert facts["+1.96 ms"].kind == "compiler estimate, ethos-u55-128"
    assert facts["0.99×"].kind == "measured here, 1 thread"


@pytest.mark.parametrize(
    "only",
    [
        result("a", "onnxruntime-cpu", coordinate_shift=None, placement=None, parity=None, decode_precision=None),
        npu_result("b", "seed", 1.0, estimate=None, placement=None, coordinate_shift=None),
        npu_result("c", "relative-threshold", -0.09),
    ],
)
def test_what_is_not_known_is_left_out(only: BundleResult, grey: NDArray[np.uint8], tmp_path: Path) -> None:
    one = record(only)
    write_report(one, tmp_path, grey)
    text = Page((tmp_path / "report.html").read_text()).text
    assert "None" not in text
    assert Record.from_text((tmp_path / "report.json").read_text()) == one


def test_the_folder_gets_every_file_and_keeps_the_others(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    folder = tmp_path / "new" / "report"
    assert write_report(record(), folder, grey) == folder / "report.html"
    (folder / "mine.txt").write_text("mine")
    write_report(record(), folder, grey)
    assert {path.name for path in folder.iterdir()} == FILES | {"mine.txt"}
    assert json.loads((folder / "report.json").read_text())["format"] == "npuface-benchmark"
    assert "![The landmarks on the picture](face.png)" in (folder / "report.md").read_text()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    (tmp_path / "taken").write_text("not a folder")
    with pytest.raises(UserError, match="cannot write to"):
        write_report(record(), tmp_path / "taken", grey)


def test_a_failure_half_way_leaves_the_old_report(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    write_report(record(), tmp_path, grey)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / f".report.html.{os.getpid()}").mkdir()
    with pytest.raises(UserError, match="cannot write to"):
        write_report(replace(record(), runs=31), tmp_path, grey)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
