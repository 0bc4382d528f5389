"""The tiny models, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_models import HEATMAPS, int8_tflite_model, onnx_model, openvino_model, tflite_model, write_bundle
from tracked_dots import RAW, Open, Seer

from npuface_runtime import FaceTracker
from npuface_runtime.engines import open_session


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Files of the `dots` network by engine."""
    folder = tmp_path_factory.mktemp("models")
    onnx_file = onnx_model(folder / "dots.onnx")
    return {
        "onnxruntime": {"model": onnx_file},
        "openvino": openvino_model(onnx_file, folder),
        "litert": {"model": tflite_model(folder / "dots.tflite")},
    }


@pytest.fixture(scope="session")
def int8_tflite(models: dict[str, dict[str, Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return int8_tflite_model(models["litert"]["model"], tmp_path_factory.mktemp("int8") / "dots_int8.tflite")


@pytest.fixture(scope="session")
def bundles(models: dict[str, dict[str, Path]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of the `dots` network by engine."""
    folder = tmp_path_factory.mktemp("bundles")
    made = {}
    for engine, files in models.items():
        with open_session(engine, files) as session:
            maps = next(spec for spec in session.outputs if spec.shape[-1] > 1)
            made[engine] = write_bundle(folder / engine, engine, files, session.input, maps)
    return made


@pytest.fixture(scope="session")
def onnx_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX bundle alone, for tests that need no other engine."""
    folder = tmp_path_factory.mktemp("onnx_bundle")
    files = {"model": onnx_model(folder / "dots.onnx")}
    with open_session("onnxruntime", files, outputs=[HEATMAPS]) as session:
        return write_bundle(folder / "bundle", "onnxruntime", files, session.input, session.outputs[0])


@pytest.fixture
def open_tracker(onnx_bundle: Path) -> Iterator[Open]:
    opened = []

    def tracker(detector: Seer, **options: Any) -> FaceTracker:
        opened.append(FaceTracker(onnx_bundle, detector, **({"tracking": RAW} | options)))
        return opened[-1]

    yield tracker
    for each in opened:
        each.close()
