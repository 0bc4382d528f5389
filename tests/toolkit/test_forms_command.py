"""`npuface forms`: the list, and what it refuses to measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from npuface_export.decode import FORMS
from npuface_runtime.errors import UserError
from npuface_toolkit.cli import main
from npuface_toolkit.decode_maps import measured_network, network_maps
from npuface_toolkit.student_network import student_network


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return int(left.value.code or 0)


def test_every_form_is_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("forms", "--json") == 0
    listed = {form["name"]: form for form in json.loads(capfd.readouterr().out)["forms"]}
    assert set(listed) == set(FORMS)
    assert listed["relative-threshold"]["bytes_out"] == 98 * 10
    assert {"operator": "MaxPool", "kernel": [64, 1], "stride": [1, 1], "work": 98 * 4096} in listed["marginals"][
        "needs"
    ]
    assert all(form["leaves"].startswith("[") for form in listed.values())


def test_an_unknown_form_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("forms", "--form", "sed", "--json") == 2
    assert "did you mean seed" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ("model = ", "it is not TOML"),
        ("beta = '20'", "it names no .onnx model"),
        ("model = 'student-68'", "it names no .onnx model"),
        ("model = 'x.onnx'\ndecoder = 'heatmaps'", "decoder is no option of npuface export"),
        ("model = 'x.onnx'\nmean = [{}]", "mean is [{}]"),
        ("model = 'x.onnx'\nmean = [1, 2]", "it is not 3 numbers"),
        ("model = 'x.onnx'\nmargin = 'wide'", "margin is 'wide'"),
        ("model = 'x.onnx'\nmean = 127.5\nmargin = 1.2", "there is no such file"),
    ],
)
def test_a_description_that_describes_no_model(tmp_path: Path, text: str | None, reason: str) -> None:
    file = tmp_path / "model.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError) as caught:
        measured_network(str(file))
    assert reason in caught.value.why


def test_the_photograph_without_data() -> None:
    network = student_network("student-68")
    (seen,) = network_maps(network, [])
    assert seen.maps.shape == (12, 68, 64, 64)
    assert seen.truth is None
    assert seen.own(seen.maps).shape == (12, 68, 2)
