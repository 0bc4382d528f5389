"""The QNN device engine, on Qualcomm's emulator: in the toolchain's own Python, with numpy and onnxruntime alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tiny_models import CELLS, POINTS, SIZE, STRIDE, dotted_frame, write_bundle, write_manifest

from npuface_export.compilers import Compilation, compiler_by_name
from npuface_export.target import target_by_name
from npuface_export.toolchains import toolchain_by_name
from npuface_runtime.bundle import open_bundle
from npuface_runtime.engines import TensorSpec
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import FILE_NAME, DeviceEngine

Pictures = list[NDArray[np.uint8]]
RUNTIME = Path(__file__).parents[2] / "runtime"
TARGET = target_by_name("qualcomm-htp-v75")
SCALE = 1 / 255
RED, GREEN = (20.0, 36.0), (44.0, 24.0)
BOX = (10.0, 8.0, 56.0, 54.0)
RUN = """
import json, sys
import numpy as np
from npuface_runtime import FaceAligner, UserError
from npuface_runtime.bundle import describe, open_bundle
bundle, folder = sys.argv[1:]
try:
    manifest, session = open_bundle(bundle, on="device")
except UserError as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
with session:
    outputs = [session.run(picture[None])[0] for picture in np.load(f"{folder}/pictures.npy")]
    np.save(f"{folder}/outputs.npy", np.concatenate(outputs))
with FaceAligner(bundle, object(), on="device") as aligner:  # the box is given, so no detector is asked
    (face,) = aligner.align(np.load(f"{folder}/frame.npy"), boxes=np.load(f"{folder}/boxes.npy"))
print(json.dumps({"landmarks": face.landmarks.tolist(), "described": describe(manifest, session, "device")}))
"""


def _dots(path: Path, last: str = "AveragePool") -> Path:
    """The `dots` network quantized: uint8 pictures in, uint8 heatmaps out; `last` may be what the HTP lacks."""
    kernels = np.zeros((POINTS, 3, 1, 1), np.int8)
    kernels[0, 0] = kernels[1, 1] = 100
    constants = {
        "scale": np.float32(SCALE),
        "zero": np.uint8(0),
        "kernels": kernels,
        "kernel_scale": np.float32(0.01),
        "kernel_zero": np.int8(0),
    }
    ends, window = ["scale", "zero"], {"kernel_shape": [STRIDE] * 2, "strides": [STRIDE] * 2}
    pool = helper.make_node("AveragePool", ["mixed"], ["maps"], "pool", **window)
    nodes = [
        helper.make_node("DequantizeLinear", ["picture", *ends], ["real"], "enter"),
        helper.make_node("DequantizeLinear", ["kernels", "kernel_scale", "kernel_zero"], ["weights"], "weigh"),
        helper.make_node("Conv", ["real", "weights"], ["picked"], "pick"),
        helper.make_node("QuantizeLinear", ["picked", *ends], ["stored"], "store"),
        helper.make_node("DequantizeLinear", ["stored", *ends], ["mixed"], "load"),
        pool if last == "AveragePool" else helper.make_node("LpPool", ["mixed"], ["maps"], "pool", p=3, **window),
        helper.make_node("QuantizeLinear", ["maps", *ends], ["heatmaps"], "leave"),
    ]
    graph = helper.make_graph(
        nodes,
        "dots",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, (1, 3, SIZE, SIZE))],
        [helper.make_tensor_value_info("heatmaps", TensorProto.UINT8, (1, POINTS, CELLS, CELLS))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def _bundle(folder: Path, model: Path, device: Path | None, **options: str) -> Path:
    files = {"model": model} if device is None else {"model": model, "device": device}
    bundle = write_bundle(
        folder,
        "onnxruntime",
        files,
        TensorSpec("picture", (1, 3, SIZE, SIZE), "uint8"),
        TensorSpec("heatmaps", (1, POINTS, CELLS, CELLS), "uint8"),
        target=TARGET.name,
        precision="int8",
        device=DeviceEngine("qnn", {"htp_performance_mode": "burst", **options}),
    )
    raw = json.loads((bundle / FILE_NAME).read_text())
    for tensor in (raw["input"], *raw["outputs"]):
        tensor |= {"scale": SCALE, "zero_point": 0}
    write_manifest(bundle, raw)
    return bundle


def _on_device(bundle: Path, folder: Path) -> dict[str, object]:
    """What the runtime says and does with a bundle in the toolchain's Python."""
    python = toolchain_by_name("qualcomm").python
    environment = {**os.environ, "PYTHONPATH": str(RUNTIME)}
    command = [str(python), "-c", RUN, str(bundle), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _save_inputs(folder: Path, pictures: Pictures) -> None:
    """What RUN reads."""
    np.save(folder / "pictures.npy", np.concatenate(pictures))
    np.save(folder / "frame.npy", dotted_frame(SIZE, SIZE, RED, GREEN))
    np.save(folder / "boxes.npy", np.array([BOX], np.float32))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    frame = dotted_frame(SIZE, SIZE, RED, GREEN)
    return [np.ascontiguousarray(np.roll(frame, by, axis=1).transpose(2, 0, 1))[None] for by in (0, 5)]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, pictures: Pictures) -> Compilation:
    if toolchain_by_name("qualcomm").version() is None:
        pytest.skip("the toolchain qualcomm is not installed: npuface toolchain install qualcomm")
    folder = tmp_path_factory.mktemp("compiled")
    return compiler_by_name("qualcomm").compile(_dots(folder / "dots.onnx"), TARGET, folder, pictures)


def test_device_engine_gives_what_the_compilers_emulation_recorded(
    compiled: Compilation, pictures: Pictures, tmp_path: Path
) -> None:
    bundle = _bundle(tmp_path / "bundle", _dots(tmp_path / "dots.onnx"), compiled.artifact)
    _save_inputs(tmp_path, pictures)
    answer = _on_device(bundle, tmp_path)
    assert "QNNExecutionProvider, HTP" in str(answer["described"])
    assert "device.onnx runs on" in str(answer["described"])
    assert compiled.emulation is not None
    recorded = np.concatenate([outputs[0] for outputs in compiled.emulation.outputs])
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), recorded)
    assert recorded.max() > 150
    np.testing.assert_allclose(np.asarray(answer["landmarks"]), [RED, GREEN], atol=1.0)


@pytest.fixture(scope="module")
def lacking(compiled: Compilation, tmp_path_factory: pytest.TempPathFactory, pictures: Pictures) -> Compilation:
    """Compiled with an operator that the HTP does not have."""
    folder = tmp_path_factory.mktemp("lacking")
    return compiler_by_name("qualcomm").compile(_dots(folder / "dots.onnx", "LpPool"), TARGET, folder, pictures)


def test_what_the_npu_lacks_does_not_run_on_the_cpu_instead(lacking: Compilation, tmp_path: Path) -> None:
    """Negative control: a bundle that says nothing of operators on the CPU is refused when it is opened."""
    assert lacking.placement is not None
    assert [left.operator for left in lacking.placement.cpu_operators] == ["LpPool"]
    model = _dots(tmp_path / "dots.onnx", "LpPool")
    answer = _on_device(_bundle(tmp_path / "bundle", model, lacking.artifact), tmp_path)
    assert "fallback to CPU EP has been explicitly disabled" in str(answer["refused"])


def test_what_the_bundle_says_is_on_the_cpu_runs_there(
    lacking: Compilation, pictures: Pictures, tmp_path: Path
) -> None:
    assert lacking.placement is not None
    assert lacking.emulation is not None
    bundle = _bundle(tmp_path / "bundle", _dots(tmp_path / "dots.onnx", "LpPool"), lacking.artifact)
    write_manifest(bundle, json.loads((bundle / FILE_NAME).read_text()) | {"placement": lacking.placement.as_json()})
    _save_inputs(tmp_path, pictures)
    answer = _on_device(bundle, tmp_path)
    assert "QNNExecutionProvider, HTP, operators on the CPU: 1, threads: 1" in str(answer["described"])
    recorded = np.concatenate([outputs[0] for outputs in lacking.emulation.outputs])
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), recorded)
    assert recorded.max() > 150


def test_a_damaged_context_is_refused(compiled: Compilation, tmp_path: Path) -> None:
    model = onnx.load(compiled.artifact)
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "ep_cache_context":
            attribute.s = attribute.s[:1000]
    onnx.save(model, tmp_path / "cut.onnx")
    answer = _on_device(_bundle(tmp_path / "bundle", _dots(tmp_path / "dots.onnx"), tmp_path / "cut.onnx"), tmp_path)
    assert "ONNX Runtime's QNN provider cannot open" in str(answer["refused"])


def test_without_the_provider_users_are_told_what_to_install(tmp_path: Path) -> None:
    model = _dots(tmp_path / "dots.onnx")
    with pytest.raises(UserError) as refusal:
        open_bundle(_bundle(tmp_path / "bundle", model, model), on="device")
    assert "has no QNNExecutionProvider here" in refusal.value.why
    assert "pip install onnxruntime-qnn" in refusal.value.fix


def test_a_bundle_that_was_not_compiled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the bundle has not been compiled for it"):
        open_bundle(_bundle(tmp_path / "bundle", _dots(tmp_path / "dots.onnx"), None), on="device")


def test_a_bundle_brings_no_library(tmp_path: Path) -> None:
    model = _dots(tmp_path / "dots.onnx")
    bundle = _bundle(tmp_path / "bundle", model, model, backend_path="evil.so")
    with pytest.raises(UserError, match="its bundle sets 'backend_path'"):
        open_bundle(bundle, on="device")
