"""Random option sets of the command: exit code 0, 1 or 2, an error as three lines, no traceback, no stray file."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_bundle import write_small_bundle

from npuface_toolkit.cli import main

sys.path.append(str(Path(__file__).parents[1]))
from fuzzing import share, snapshot

WORDS = (
    "BUNDLE", "PICTURE", "FOLDER", "NOWHERE", "TEXT", "OUT", "student-68", "onnxruntime-cpu", "ethos-u55-128", "host",
    "device", "cascade", "seed", "-1", "0", "1", "2", "nan", "1e9", "0.3", "int8", "wflw:NOWHERE", "points:TEXT",
    "coco:x", ":", "ä", "",
)  # fmt: skip
COMMANDS: dict[str, tuple[str, ...]] = {
    "explain": ("--operators", "--graph", "--json"),
    "run": ("--draw", "--detector", "--threads", "--passes", "--on", "--json"),
    "c-header": ("--out", "--json"),
    "targets": ("--json",),
    "evaluate": ("--data", "--held-out", "--without-jaw", "--json"),
    "train": ("--data", "--out", "--config", "--start", "--teacher"),
    "label": ("--pictures", "--by", "--detector", "--out", "--least"),
    "label-shift": ("--data", "--by", "--held-out", "--out", "--json"),
    "detector label": ("--pictures", "--by", "--out", "--least", "--min-score"),
    "detector train": ("--data", "--out", "--config"),
    "compile": ("--out", "--target", "--allow-cpu", "--json"),
    "nonsense": ("--data",),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, a picture, a text and an empty folder."""
    folder = tmp_path_factory.mktemp("options")
    write_small_bundle(folder / "bundle")
    (folder / "empty").mkdir()
    (folder / "text.toml").write_text("epochs = 1\n")
    cv2.imwrite(str(folder / "picture.png"), np.full((48, 64, 3), 90, np.uint8))
    return folder


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    command = draw(st.sampled_from(sorted(COMMANDS)))
    words = command.split() + draw(st.lists(st.sampled_from(WORDS), max_size=2))
    for option in draw(st.lists(st.sampled_from(COMMANDS[command]), max_size=4)):
        words += [option, *draw(st.lists(st.sampled_from(WORDS), max_size=1))]
    return words


@settings(
    max_examples=share(0.2),
    deadline=timedelta(seconds=60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)
@given(words=command_lines())
def test_fuzz_options(
    place: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    names = {"BUNDLE": "bundle", "PICTURE": "picture.png", "FOLDER": "empty", "NOWHERE": "nowhere", "TEXT": "text.toml"}
    for name, path in (names | {"OUT": "out"}).items():
        words = [word.replace(name, str(place / path)) for word in words]
    monkeypatch.chdir(place / "empty")
    before = snapshot(place)
    with pytest.raises(SystemExit) as ended:
        main(words)
    printed = capfd.readouterr()
    assert ended.value.code in (0, 1, 2), words
    assert "Traceback" not in printed.err, words
    if ended.value.code == 2:
        said = json.loads(printed.out)["error"] if "--json" in words else None
        assert said or ("why:" in printed.err and "fix:" in printed.err), words
        assert snapshot(place) == before, words
    for path in set(snapshot(place)) - set(before):
        assert path.startswith("out"), (words, path)
        (place / path).unlink()
