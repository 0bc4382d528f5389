"""The pages that hold code or describe data: the code runs, the numbers are its own, no field is left out."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer import TyperException
from typer.main import get_command

from npuface_benchmarks.decode_page import read_record, with_tables
from npuface_export.decode import FORMS, HeatmapSpec, form_by_name
from npuface_runtime.finish import finish_decode
from npuface_runtime.host_halves import HOST_HALVES
from npuface_runtime.manifest import (
    Decode,
    DeviceEngine,
    FileInfo,
    HeatmapInfo,
    Landmarks,
    Manifest,
    Preprocess,
    TensorInfo,
)
from npuface_toolkit.cli import app

DOCS = Path(__file__).parent.parent / "docs"
SPEC = HeatmapSpec(points=5, height=16, width=16)
STRIDE = 4
SIZE = SPEC.width * STRIDE


def page(name: str) -> str:
    return (DOCS / name).read_text()


def python_of(markdown: str) -> str:
    """The only block of Python on a page."""
    (code,) = re.findall(r"^```python\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    return str(code)


def run(code: str) -> tuple[dict[str, Any], str]:
    """(the names that the code defines, what it prints)."""
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "docs", "exec"), names)
    return names, printed.getvalue()


def undocumented(markdown: str, names: set[str]) -> set[str]:
    """The names that a page does not give as code."""
    return names - set(re.findall(r"`([\w-]+)`", markdown))


def moments_manifest(tensor: TensorInfo) -> Manifest:
    form = form_by_name("relative-threshold")
    return Manifest(
        name="test",
        target="litert-cpu",
        engine="litert",
        precision="int8",
        files={"model": FileInfo("model.tflite", "", 0)},
        input=TensorInfo("picture", (1, SIZE, SIZE, 3), "float32", "NHWC"),
        outputs=(tensor,),
        preprocess=Preprocess((0, 0, 0), (1, 1, 1), 1.3),
        landmarks=Landmarks("test", SPEC.points),
        heatmap=HeatmapInfo(SPEC.height, SPEC.width, (STRIDE, STRIDE), (1.5, 1.5), "heatmaps"),
        decode=Decode(form.name, form.finish, form.finish_params(SPEC), 0),
    )


def moments_of_random_peaks() -> np.ndarray:
    """Real moments [1, 5K, 1, 1]; the last map is empty."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SPEC.height, : SPEC.width]
    centres = rng.uniform(2, SPEC.width - 3, (SPEC.points, 2))
    maps = np.array([np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 4.5) for cx, cy in centres], np.float32)
    maps[-1] = 0
    with torch.no_grad():
        return form_by_name("relative-threshold").build(SPEC)(torch.from_numpy(maps)[None]).numpy()


@pytest.mark.parametrize("is_int16", [False, True])
def test_the_decode_by_hand_is_the_runtimes(is_int16: bool) -> None:
    stored = moments_of_random_peaks()
    tensor = TensorInfo("decoded", stored.shape, "float32", "NCHW")
    if is_int16:
        scale = float(np.abs(stored).max()) * 1.5 / 32767
        stored = np.rint(stored / scale).astype(np.int16)
        tensor = TensorInfo("decoded", stored.shape, "int16", "NCHW", scale, 0)
    manifest = moments_manifest(tensor)
    names, _ = run(python_of(page("bundle.md")))
    points, confidence = names["finish_moments"](stored, manifest.as_json())
    expected_points, expected_confidence = finish_decode(manifest, [stored])
    np.testing.assert_allclose(points, expected_points, atol=1e-4)
    np.testing.assert_allclose(confidence, expected_confidence, atol=1e-6)
    assert np.ptp(expected_points[:-1], axis=0).min() > STRIDE
    assert expected_confidence[-1] == 0


def test_the_table_of_errors_is_what_the_code_prints() -> None:
    markdown = page("decode.md")
    _, printed = run(python_of(markdown))
    rows = printed.splitlines()
    assert len(rows) == 3
    table = markdown.partition("```python")[0]
    assert [row for row in rows if row not in table] == []


def test_a_stale_table_would_be_caught() -> None:
    markdown = page("decode.md")
    _, printed = run(python_of(markdown.replace("t=0.3", "t=0.9")))
    assert [row for row in printed.splitlines() if row not in markdown]


def test_every_field_of_a_manifest_is_described() -> None:
    parts = (Manifest, FileInfo, TensorInfo, Preprocess, Landmarks, HeatmapInfo, Decode, DeviceEngine)
    names = {field.name for part in parts for field in fields(part)}
    params = {param for finish in HOST_HALVES.values() for param in finish.params} - {"threshold", "beta"}
    assert undocumented(page("bundle.md"), names | set(HOST_HALVES) | params) == set()


def test_every_decode_form_is_described() -> None:
    assert undocumented(page("decode.md"), set(FORMS)) == set()


def test_what_is_not_described_is_caught() -> None:
    assert undocumented("`seed` is there, gnomes are not code", {"seed", "gnomes"}) == {"gnomes"}


def commands_of(markdown: str) -> list[str]:
    """The lines of a page that call the command, each in one line."""
    return re.findall(r"^ *(npuface .*)$", markdown.replace("\\\n", " "), re.MULTILINE)


def parsed(line: str) -> None:
    """Let the command's own parser read a line. Raises what it raises."""
    command: Any = get_command(app)
    words = shlex.split(line, comments=True)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("npuface", words)


@pytest.mark.parametrize("page", [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.stem)
def test_every_command_on_a_page_is_one_that_there_is(page: Path) -> None:
    for line in commands_of(page.read_text()):
        try:
            parsed(line)
        except Exception as error:
            pytest.fail(f"{line}: {error}")


@pytest.mark.parametrize("line", ["npuface bench bundle", "npuface export student-68 --to litert", "npuface sell"])
def test_a_command_that_there_is_not_would_be_caught(line: str) -> None:
    with pytest.raises((TyperException, KeyError)):
        parsed(line)


def test_the_measured_tables_are_the_records() -> None:
    record = read_record(DOCS / "decode.json")
    assert with_tables(page("decode.md"), record) == page("decode.md"), "run make docs"
    stale = "measure again: npuface forms --measure --out docs"
    assert {form.form: form.summary for form in record.forms} == {f.name: f.summary for f in FORMS.values()}, stale
