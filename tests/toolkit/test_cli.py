"""The command as a user meets it: real processes for the contract of stdout, stderr and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from npuface_toolkit.cli import main


def _npuface(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from npuface_toolkit.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def _error(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """Run in this process with --json, expect exit code 2, and return the error."""
    with pytest.raises(SystemExit) as exit_info:
        main([*arguments, "--json"])
    assert exit_info.value.code == 2
    out = capfd.readouterr()
    assert "Traceback" not in out.out + out.err
    error: dict[str, dict[str, str]] = json.loads(out.out)
    assert set(error["error"]) == {"what", "why", "fix"}
    return error["error"]


def test_help_names_every_command_with_an_example() -> None:
    shown = _npuface("--help")
    assert shown.returncode == 0
    for command in (
        "train",
        "augment",
        "evaluate",
        "export",
        "quantize",
        "compile",
        "explain",
        "bench",
        "run",
        "targets",
        "toolchain",
        "doctor",
    ):
        assert command in shown.stdout
        page = _npuface(command, "--help")
        assert page.returncode == 0
        assert f"Example: npuface {command}" in " ".join(page.stdout.split())


def test_an_error_in_words_goes_to_stderr_with_exit_code_2() -> None:
    done = _npuface("export", "student-68", "--target", "ethos-u55-12", "--out", "bundle")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "unknown target" in done.stderr
    assert "ethos-u55-128" in done.stderr
    assert "Traceback" not in done.stderr


def test_targets_as_json_is_one_object_on_stdout() -> None:
    done = _npuface("targets", "--json")
    listed = json.loads(done.stdout)
    names = [target["name"] for target in listed["targets"]]
    assert {"ethos-u55-128", "litert-cpu", "openvino-cpu", "onnxruntime-cpu"} <= set(names)


@pytest.mark.parametrize(
    ("arguments", "where", "reason"),
    [
        (("export", "student-69", "--target", "litert-cpu", "--out", "b"), "what", "student-69"),
        (("export", "{folder}/broken", "--target", "litert-cpu", "--out", "b"), "why", "it is a folder"),
        (("export", "{folder}/text.txt", "--target", "litert-cpu", "--out", "b"), "why", "no safetensors file"),
        (("export", "student-68", "--target", "ethos-u55", "--out", "b"), "fix", "ethos-u55-128"),
        (("export", "student-68", "--target", "litert-cpu", "--out", "b", "--decode", "sead"), "fix", "seed"),
        (("quantize", "{folder}", "--calibration", "{folder}"), "why", "no manifest.json"),
        (("quantize", "{folder}/none", "--calibration", "{folder}"), "what", "none"),
        (("compile", "{folder}"), "why", "no manifest.json"),
        (("explain", "{folder}"), "why", "no manifest.json"),
        (("explain", "{folder}/broken"), "why", "not JSON"),
        (("run", "{folder}", "{folder}/none.jpg"), "why", "no such file"),
        (("run", "{folder}", "{folder}/text.txt"), "why", "not a picture"),
        (("bench", "{folder}", "--report", "{folder}/report"), "why", "no manifest.json"),
        (("evaluate", "student-68", "--data", "coco:x"), "why", "FORMAT"),
        (("evaluate", "{folder}/none.toml", "--data", "points:{folder}/none.csv"), "why", "there is no file"),
        (("train", "--data", "points:{folder}/none.csv", "--out", "{folder}/s.safetensors"), "why", "there is no file"),
        (("train", "--data", "coco:x", "--out", "x", "--config", "none.toml"), "why", "no such file"),
        (("evaluate", "light-68", "--data", "weighted:{folder}/weighted.csv"), "why", "networks labelled its faces"),
        (("train", "--data", "x", "--out", "x", "--config", "{folder}"), "why", "Is a directory"),
        (
            ("train", "--data", "x", "--out", "x", "--config", "{folder}/untaught.toml", "--teacher", "teacher-68"),
            "what",
            "would teach nothing",
        ),
        (("augment", "--data", "x", "--out", "{folder}/labels.csv"), "why", "is a PNG"),
        (("track", "{folder}", "film.mp4", "--out", "{folder}/text.txt/faces.jsonl"), "why", "can be written to"),
        (("soak", "{folder}", "--data", "x", "--seed", "-1"), "why", "--seed"),
        (("detector", "label", "--pictures", "x", "--by", "x", "--out", "{folder}"), "why", "it is a folder"),
        (("face3d", "heads", "--heads", "1", "--out", "{folder}"), "why", "it is a folder"),
        (("face3d", "light-field", "face3d-heads", "--codes", "x.md", "--out", "x.md"), "why", "ends in .safetensors"),
        (
            ("face3d", "evaluate", "face3d-heads", "--heads", "x", "--fit-identity"),
            "why",
            "no judge is given",
        ),
        (("forms", "--target", "ethos-u55-128"), "why", "--target would be ignored"),
        (("bench", "{folder}", "--report", "{folder}/text.txt/report"), "why", "can be written to"),
        (("bench", "{folder}", "--report", "{folder}/report", "--tolerance", "inf"), "why", "--tolerance is inf"),
        (("matrix", "--calibration", "{folder}", "--out", "{folder}/text.txt"), "why", "can be written to"),
        (("export", "student-68"), "why", "Missing option"),
        (("frobnicate",), "why", "No such command"),
        (("run", "{folder}", "x.jpg", "--threads", "0"), "why", "--threads"),
    ],
)
def test_bad_input_gives_one_clear_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], where: str, reason: str
) -> None:
    (tmp_path / "text.txt").write_text("neither a model nor a picture")
    cv2.imwrite(str(tmp_path / "face.png"), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "weighted.csv").write_text("face.png," + ",".join(f"{n % 60},20,1" for n in range(68)))
    (tmp_path / "untaught.toml").write_text(
        "stages = [{ input_size = 64, epochs = 1 }]\ndistillation = { edges = 0, heatmaps = 0, points = 0 }"
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    before = sorted(tmp_path.rglob("*"))
    error = _error(capfd, *(argument.format(folder=tmp_path) for argument in arguments))
    assert reason in error[where], error
    assert sorted(tmp_path.rglob("*")) == before


def test_data_of_another_scheme_is_refused(
    tmp_path: Path, astronaut: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "face.png"), astronaut[..., ::-1])
    points = " ".join(str(v) for v in np.random.default_rng(0).uniform(150, 300, 196).round(1))
    (tmp_path / "list.txt").write_text(f"{points} 150 150 300 300 0 0 0 0 0 0 face.png\n")
    error = _error(capfd, "evaluate", "student-68", "--data", f"wflw:{tmp_path}/list.txt:{tmp_path}")
    assert error["why"] == "it has ibug-68 landmarks, the data wflw-98"


def test_export_run_and_explain_on_a_real_picture(
    tmp_path: Path, astronaut: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    import cv2

    picture, bundle = tmp_path / "astronaut.png", tmp_path / "bundle"
    cv2.imwrite(str(picture), astronaut[..., ::-1])

    def run(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as exit_info:
            main([*arguments, "--json"])
        assert exit_info.value.code == 0
        return json.loads(capfd.readouterr().out)

    made = run("export", "student-68", "--target", "onnxruntime-cpu", "--out", str(bundle))
    assert made["decode"]["form"] == "relative-threshold"
    assert made["parity"]["max_abs"] < 1e-3
    assert made["coordinate_shift"] is None
    explained = run("explain", str(bundle))
    assert {**explained, **made} == explained
    verdicts = {form["form"]: form["verdict"] for form in explained["forms"]}
    assert verdicts["relative-threshold"] == "taken"
    found = run("run", str(bundle), str(picture), "--draw", str(tmp_path / "face.png"))
    assert len(found["faces"]) == 1
    assert len(found["faces"][0]["landmarks"]) == 68
    assert (tmp_path / "face.png").stat().st_size > 10_000
    model = next(bundle.glob("*.onnx"))
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    assert "SHA-256 differ" in _error(capfd, "run", str(bundle), str(picture))["why"]
    eyes = np.array(found["faces"][0]["landmarks"])[[36, 45]]
    np.testing.assert_allclose(eyes, [(197, 107), (255, 104)], atol=8)
