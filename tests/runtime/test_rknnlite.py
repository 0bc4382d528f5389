"""RKNN-Toolkit-Lite2 through a recorded contract: its wheel is for boards only, so a stand-in keeps to its own source.

Source: rknn-toolkit-lite2 2.5.0, rknnlite/api/rknn_lite.py: names, defaults, order of calls, -1 and None for failures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import HEATMAPS, SIZE, onnx_model, reference, write_bundle

from npuface_runtime.bundle import open_bundle
from npuface_runtime.engines import TensorSpec
from npuface_runtime.errors import EngineError, UserError
from npuface_runtime.manifest import DeviceEngine

Array = NDArray[np.float32]
PICTURE = np.random.default_rng(0).random((1, 3, SIZE, SIZE), np.float32)
_ENGINE = "npuface_runtime.devices.rknnlite"
MAPS = TensorSpec(HEATMAPS, (1, 2, 16, 16), "float32")


def maps_of(picture: Array) -> Array:
    return reference(picture)[0].astype(np.float32)


@dataclass
class Board:
    """What the stand-in does, and what was asked of it."""

    load: int = 0
    init: int = 0
    compute: Callable[[Array], list[Array] | None] = lambda picture: [maps_of(picture)]
    calls: list[str] = field(default_factory=list)


class RecordedLite:
    """RKNNLite as its source documents it."""

    NPU_CORE_AUTO = 0
    NPU_CORE_0 = 1
    NPU_CORE_1 = 2
    NPU_CORE_2 = 4
    NPU_CORE_0_1 = 3
    NPU_CORE_0_1_2 = 7
    NPU_CORE_ALL = 0xFFFF
    board: ClassVar[Board]

    def __init__(self, verbose: bool = False, verbose_file: str | None = None) -> None:
        self._loaded = self._ready = False

    def load_rknn(self, path: str, key_path: str | None = None) -> int:
        self.board.calls.append(f"load_rknn {Path(path).name}")
        self._loaded = self.board.load == 0 and Path(path).exists()
        return 0 if self._loaded else -1

    def init_runtime(
        self, target: str | None = None, device_id: str | None = None, async_mode: bool = False, core_mask: int = 0
    ) -> int:
        self.board.calls.append(f"init_runtime {core_mask}")
        self._ready = self._loaded and self.board.init == 0
        return 0 if self._ready else self.board.init or -1

    def inference(
        self,
        inputs: list[Array],
        data_type: list[str] | None = None,
        data_format: list[str] | None = None,
        inputs_pass_through: list[int] | None = None,
        get_frame_id: bool = False,
        reuse_outputs: bool = False,
    ) -> list[Array] | None:
        if not self._ready:
            return None
        assert (data_type, data_format) == (["float32"], ["nhwc"])
        (picture,) = inputs
        assert picture.flags.c_contiguous
        return self.board.compute(picture.transpose(0, 3, 1, 2))

    def get_sdk_version(self) -> str | None:
        return "2.5.0" if self._ready else None

    def release(self) -> None:
        self.board.calls.append("release")
        self._ready = False


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """Puts the stand-in where the vendor's package would be."""
    package, api = ModuleType("rknnlite"), ModuleType("rknnlite.api")
    vars(api)["RKNNLite"] = RecordedLite
    monkeypatch.setitem(sys.modules, "rknnlite", package)
    monkeypatch.setitem(sys.modules, "rknnlite.api", api)
    sys.modules.pop(_ENGINE, None)
    RecordedLite.board = Board()
    yield RecordedLite.board
    sys.modules.pop(_ENGINE, None)


def bundle_for(folder: Path, compiled: bool = True, **options: str) -> Path:
    """A bundle whose model stands in for device.rknn, a file that only the vendor's package reads."""
    device = folder / "device.rknn"
    device.write_bytes(b"RKNN")
    files = {"model": onnx_model(folder / "dots.onnx"), **({"device": device} if compiled else {})}
    picture = TensorSpec("pictures", PICTURE.shape, "float32")
    engine = DeviceEngine("rknnlite", options)
    return write_bundle(folder / "bundle", "onnxruntime", files, picture, MAPS, device=engine, target="a board")


def refusal(bundle: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_bundle(bundle, on="device")
    return str(caught.value)


def test_a_session_looks_like_the_manifest(board: Board, tmp_path: Path) -> None:
    manifest, session = open_bundle(bundle_for(tmp_path, core_mask="NPU_CORE_0_1_2"), on="device")
    with session:
        (maps,) = session.run(PICTURE)
        assert session.description == "RKNN-Toolkit-Lite2 (2.5.0), NPU_CORE_0_1_2"
    assert (maps.shape, maps.dtype.name) == (manifest.outputs[0].shape, "float32")
    np.testing.assert_allclose(maps, maps_of(PICTURE), atol=1e-6)
    assert board.calls == ["load_rknn device.rknn", "init_runtime 7", "release"]


def test_without_cores_the_vendor_chooses_them(board: Board, tmp_path: Path) -> None:
    _, session = open_bundle(bundle_for(tmp_path), on="device")
    session.close()
    assert "init_runtime 0" in board.calls


def test_closing_twice_releases_once(board: Board, tmp_path: Path) -> None:
    _, session = open_bundle(bundle_for(tmp_path), on="device")
    session.close()
    session.close()
    assert board.calls.count("release") == 1
    with pytest.raises(UserError, match="its session is closed"):
        session.run(PICTURE)


def test_cores_that_there_are_not(board: Board, tmp_path: Path) -> None:
    text = refusal(bundle_for(tmp_path, core_mask="NPU_CORE_3"))
    assert "there are no cores 'NPU_CORE_3', they are NPU_CORE_0, NPU_CORE_0_1, " in text
    assert board.calls == []


def test_a_model_that_does_not_load(board: Board, tmp_path: Path) -> None:
    board.load = -1
    assert "it cannot load device.rknn (code -1). Read what the vendor's package" in refusal(bundle_for(tmp_path))
    assert board.calls == ["load_rknn device.rknn", "release"]


def test_an_npu_that_does_not_start(board: Board, tmp_path: Path) -> None:
    board.init = -1
    text = refusal(bundle_for(tmp_path, core_mask="NPU_CORE_0"))
    assert "the NPU does not start with NPU_CORE_0 (code -1)" in text
    assert board.calls[-1] == "release"


@pytest.mark.parametrize(
    ("compute", "reason"),
    [
        (lambda picture: None, "the inference gave no outputs"),
        (lambda picture: [maps_of(picture)[:, :1]], "the outputs are [((1, 1, 16, 16), 'float32')]"),
        (lambda picture: [maps_of(picture).astype(np.int8)], "'int8')], the manifest says"),
    ],
)
def test_an_inference_that_fails(
    board: Board, tmp_path: Path, compute: Callable[[Array], list[Array] | None], reason: str
) -> None:
    _, session = open_bundle(bundle_for(tmp_path), on="device")
    board.compute = compute
    with session, pytest.raises(EngineError) as caught:
        session.run(PICTURE)
    assert reason in str(caught.value)


def test_a_bundle_that_was_not_compiled(board: Board, tmp_path: Path) -> None:
    assert "has not been compiled for it. Run npuface quantize" in refusal(bundle_for(tmp_path, compiled=False))


def test_a_machine_without_the_vendors_package(tmp_path: Path) -> None:
    assert "rknnlite is not installed. Install it on the device" in refusal(bundle_for(tmp_path))
