"""A detector's bundle: made by the commands, opened by the runtime, quantized, compiled; and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from npuface_export.detector import export_detector
from npuface_export.export import export_bundle
from npuface_export.target import target_by_name
from npuface_runtime import FaceAligner
from npuface_runtime.detectors import open_detector
from npuface_runtime.errors import UserError
from npuface_toolkit.cli import main
from npuface_toolkit.detector.checkpoint import DetectorInfo, load_detector, save_detector
from npuface_toolkit.detector.network import DetectorConfig, FaceDetector
from npuface_toolkit.detector.network_of import detector_network
from npuface_toolkit.detector.predict import TorchDetector
from npuface_toolkit.samples import normalise
from npuface_toolkit.student_network import student_network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Path:
    """A tiny network that sees faces everywhere: random weights, batch norms that saw the photograph."""
    torch.manual_seed(3)
    network = FaceDetector(DetectorConfig(64, 128, 0.25))
    torch.nn.init.normal_(network.head[-1].weight, std=0.6)
    torch.nn.init.zeros_(network.head[-1].bias)
    pictures = [astronaut[y : y + 256, x : x + 512 : 2][::4, ::2] for y in range(0, 256, 32) for x in (0, 1)]
    with torch.no_grad():
        for _ in range(20):
            network.train()(normalise(torch.from_numpy(np.stack(pictures))))
        maps = network.eval()(normalise(torch.from_numpy(np.stack(pictures))))
        network.head[-1].bias[0] -= maps[:, 0].median()
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_detector(path, network.state_dict(), DetectorInfo(network.config))
    return path


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "onnx"
    export_detector(detector_network(str(checkpoint)), target_by_name("onnxruntime-cpu"), out)
    return out


@pytest.fixture(scope="module")
def landmark_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("landmarks") / "bundle"
    export_bundle(student_network("student-68"), target_by_name("onnxruntime-cpu"), out)
    return out


def run_json(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--json"])
    return int(str(ended.value.code)), json.loads(capfd.readouterr().out)


@pytest.mark.parametrize("target", ["onnxruntime-cpu", "openvino-cpu"])
def test_the_bundle_finds_what_torch_finds(
    target: str, checkpoint: Path, tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    export_detector(detector_network(str(checkpoint)), target_by_name(target), tmp_path / "bundle")
    network, info = load_detector(str(checkpoint))
    expected = TorchDetector(network, info.min_score).detect(astronaut)
    detector = open_detector(tmp_path / "bundle")
    found = detector.detect(astronaut)
    detector.close()
    assert len(expected) > 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.box, other.box, atol=0.05)
        assert abs(one.score - other.score) < 1e-4


def test_nothing_is_said_of_what_a_gpu_runs_where(checkpoint: Path, tmp_path: Path) -> None:
    for target, is_told in (("openvino-cpu", True), ("openvino-gpu", False)):
        made = export_detector(detector_network(str(checkpoint)), target_by_name(target), tmp_path / target)
        assert (made.placement is not None) == is_told


def test_it_is_quantized_and_compiled_with_nothing_on_the_cpu(
    checkpoint: Path, tmp_path: Path, astronaut: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(12):
        shown = np.roll(astronaut, 31 * number, axis=1)[:: 1 + number % 2]
        cv2.imwrite(str(pictures / f"{number}.png"), shown[..., ::-1])
    out = tmp_path / "bundle"
    code, made = run_json(capfd, "export", checkpoint, "--target", "ethos-u55-128", "--out", out)
    assert (code, made["precision"], made["box_shift"]) == (0, "float32", None)
    code, made = run_json(capfd, "quantize", out, "--calibration", pictures)
    assert code == 0
    assert made["precision"] == "int8"
    assert made["placement"]["cpu"] == 0 < made["placement"]["npu"]
    assert made["estimate"]["kind"] == "compiler estimate"
    assert made["recipe"]["calibration"]["measured_on"] == 4
    assert 0 < made["box_shift"]["mean_px"] < 3
    assert made["box_shift"]["faces"] > 10
    code, shown = run_json(capfd, "explain", out)
    assert (code, shown["box_shift"]) == (0, made["box_shift"])
    detector = open_detector(out)
    assert detector.detect(astronaut)
    detector.close()


def test_a_detector_is_no_landmark_network_and_the_reverse(
    bundle: Path, landmark_bundle: Path, astronaut: NDArray[np.uint8]
) -> None:
    with pytest.raises(UserError, match="it is a face detector, and a landmark network is needed"):
        FaceAligner(bundle)
    with pytest.raises(UserError, match="it is a landmark network, and a face detector is needed"):
        open_detector(landmark_bundle)
    with FaceAligner(landmark_bundle, open_detector(bundle)) as aligner:
        assert aligner.align(astronaut)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("export", "CHECKPOINT", "--target", "onnxruntime-cpu", "--out", "OUT", "--decode", "seed"), "--decode"),
        (("quantize", "BUNDLE", "--calibration", "FOLDER", "--max-shift", "0.1"), "--max-shift"),
        (("quantize", "BUNDLE", "--calibration", "FOLDER"), "0 of its pictures can be read"),
        (("quantize", "BUNDLE", "--calibration", "NOWHERE"), "no such folder"),
        (("explain", "BUNDLE", "--operators"), "--operators"),
    ],
)
def test_what_is_not_for_a_detector_is_refused(
    arguments: tuple[str, ...],
    why: str,
    bundle: Path,
    checkpoint: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    places = {"CHECKPOINT": checkpoint, "BUNDLE": bundle, "FOLDER": tmp_path / "folder", "OUT": tmp_path / "out"}
    before = sorted(bundle.iterdir())
    code, said = run_json(capfd, *(places.get(word, word) for word in arguments))
    assert code == 2
    assert why in said["error"]["why"]
    assert sorted(bundle.iterdir()) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("maps", "height"), 9, "is not"),
        (("maps", "stride"), 0, "cells of 0 pixels"),
        (("maps", "gain"), 0.0, "gain"),
        (("maps", "size"), 1e9, "size"),
        (("min_score",), 1.0, "least score"),
        (("mean",), [0.0], "three means"),
        (("std",), [1.0, 0.0, 1.0], "three means"),
        (("files", "model", "path"), "../x.onnx", "leaves the bundle"),
        (("outputs",), [], "names no output"),
        (("format",), ["npuface-detector"], "does not say"),
        (("version",), 99, "its version is 99"),
        (("surprise",), 1, "unknown field"),
    ],
)
def test_a_damaged_manifest_is_refused(
    path: tuple[str, ...], value: object, why: str, bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    file = tmp_path / "bundle" / "manifest.json"
    raw = json.loads(file.read_text())
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(raw))
    with pytest.raises(UserError, match=why):
        open_detector(tmp_path / "bundle")


def test_an_empty_folder_is_no_detector(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no manifest\.json"):
        open_detector(tmp_path)


@pytest.mark.parametrize(("target", "why"), [("sony-imx500", "quantizes by itself"), ("apple-ane", "no INT8 models")])
def test_a_target_whose_compiler_takes_landmark_networks_alone_is_refused(
    tmp_path: Path, checkpoint: Path, target: str, why: str
) -> None:
    with pytest.raises(UserError, match=why):
        export_detector(detector_network(str(checkpoint)), target_by_name(target), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
