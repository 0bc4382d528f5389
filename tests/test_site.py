"""The documents as a site: it builds, every page is in it, the tutorial runs as it stands, the messages are real."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from npuface_export.target import targets
from npuface_toolkit.cli import main
from npuface_toolkit.variations import write_variations

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCES = ("runtime", "export", "toolkit", "benchmarks")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_and_every_target_is_in_it(site: Path) -> None:
    pages = {path.parent.name for path in site.glob("*/index.html")}
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= pages
    for name in targets():
        assert f"npuface export student-68 --target {name}" in (site / "targets" / name / "index.html").read_text()


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert not loaded, page


def test_every_page_is_in_the_navigation() -> None:
    text = re.sub(r"!!python\S*", "", (ROOT / "mkdocs.yml").read_text())
    listed = re.findall(r"[\w-]+\.md", str(yaml.safe_load(text)["nav"]))
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


def test_the_api_page_shows_the_runtime(site: Path) -> None:
    page = (site / "api" / "index.html").read_text()
    for name in ("FaceAligner", "finish_decode", "install_bundle"):
        assert f'id="npuface_runtime.{name}"' in page


def test_the_messages_are_real() -> None:
    code = "".join(path.read_text() for top in SOURCES for path in (ROOT / top).rglob("*.py"))
    quoted = re.findall(r"\*\*`([^`]+)`\*\*", (DOCS / "troubleshooting.md").read_text())
    assert len(quoted) > 12
    for message in quoted:
        for part in message.split("..."):
            assert part.strip() in code, message


@pytest.fixture
def workplace(tmp_path: Path, astronaut: NDArray[np.uint8]) -> Path:
    (tmp_path / "pictures").mkdir()
    write_variations(astronaut, tmp_path / "pictures", 14)
    cv2.imwrite(str(tmp_path / "photo.png"), astronaut[..., ::-1])
    return tmp_path


def steps(page: str) -> list[tuple[str, str]]:
    """The page's commands and code, in order: ("npuface", words) and ("python", code)."""
    found = re.findall(r"^```python\n(.*?)^```|^    npuface ([^\n]*)$", page, re.MULTILINE | re.DOTALL)
    return [("python", code) if code else ("npuface", words) for code, words in found]


@pytest.mark.timeout(900)
def test_the_tutorial_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    page = (DOCS / "tutorial.md").read_text()
    assert len(steps(page)) > 10
    for kind, what in steps(page):
        if kind == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(what, "tutorial.md", "exec"), {})
            continue
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(what))
        assert ended.value.code == 0, what
    assert "(68, 2)" in printed.getvalue()
    for made in ("points.png", "graph.png", "report/report.html", "npuface_model.h", "bundle/manifest.json"):
        assert (workplace / made).stat().st_size > 1000, made
