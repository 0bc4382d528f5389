"""Sony's IMX500: its tools quantize and convert the float model, which they take whole or refuse by node."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import SIZE, STRIDE, BrightSpots, small_network

from npuface_export.compile import compile_bundle
from npuface_export.compilers import compiler_by_name
from npuface_export.compilers.sony import estimate_of
from npuface_export.converters import converter_by_name
from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_export.export import export_bundle
from npuface_export.foreign.whole import whole_module
from npuface_export.foreign.with_layers import with_layers
from npuface_export.target import target_by_name
from npuface_export.toolchains import toolchain_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest

TARGET = target_by_name("sony-imx500")
COMPILER = compiler_by_name("sony")
REPORT = {"Memory Usage": "98624B", "Total Memory Available On Chip": "8388480B", "Fit In Chip": True}
"""What the converter reports of the small network with --report-size-unit B."""


@pytest.fixture
def installed() -> None:
    if toolchain_by_name("sony").version() is None:
        pytest.skip("the toolchain sony is not installed")


def model_with(form: str, folder: Path) -> Path:
    """The float ONNX file of the small network with that decode."""
    export_bundle(small_network(), target_by_name("onnxruntime-cpu"), folder / form, form=form)
    return Manifest.load(folder / form).file(folder / form, "model")


def pictures() -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, (1, 3, SIZE, SIZE)).astype(np.float32) for _ in range(2)]


@pytest.mark.usefixtures("installed")
def test_a_network_is_converted_as_a_whole_and_its_memory_is_told(tmp_path: Path) -> None:
    """The smallest network: the converter takes its half minute for any."""
    size, points, folder = SIZE // 2, 2, tmp_path / "made"
    folder.mkdir()
    decode = form_by_name("onebyone").build(HeatmapSpec(points, size // STRIDE, size // STRIDE)).eval()
    converter = converter_by_name("onnxruntime")
    model = converter.convert(BrightSpots(points).eval(), decode, (size, size), tmp_path).files["model"]
    picture = pictures()[0][:, :, :size, :size]
    made = COMPILER.compile(model, TARGET, folder, [picture])
    assert [path.name for path in folder.iterdir()] == ["device.zip"]
    assert zipfile.is_zipfile(made.artifact)
    assert made.placement is not None
    assert (made.placement.cpu, made.placement.decode_npu > 0) == (0, True)
    assert made.estimate is not None
    assert made.estimate.sram_bytes is not None
    assert 0 < made.estimate.sram_bytes < 8 << 20
    assert made.estimate.total_ms is None
    assert made.emulation is not None
    ((simulated,),) = made.emulation.outputs
    with torch.no_grad():
        expected = whole_module(model)(torch.from_numpy(picture)).numpy()
    assert simulated.shape == expected.shape
    difference = np.abs(simulated.astype(np.float64) - expected).max()
    assert 0 < difference < 0.1  # it is quantized, and it is the same network


@pytest.mark.usefixtures("installed")
def test_a_kernel_that_is_too_large_is_refused_by_node_with_the_converters_reason(tmp_path: Path) -> None:
    model, folder = model_with("relative-threshold", tmp_path), tmp_path / "made"
    folder.mkdir()
    with pytest.raises(UserError) as caught:
        COMPILER.compile(model, TARGET, folder, pictures())
    message = str(caught.value)
    assert "cannot compile for sony-imx500: Conv /" in message
    assert "kernel size, value: (16, 1), reason: Kernel size > 12 is not supported for depthwise conv; Conv" in message
    assert "onebyone" in message
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("installed")
def test_a_bundle_without_its_float_model_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    manifest = export_bundle(small_network(), TARGET, out, form="onebyone")
    raw = replace(manifest, precision="int8").as_json()
    (out / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match="it has no 'float' file"):
        compile_bundle(out)


def test_without_the_toolchain_it_says_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPUFACE_TOOLCHAINS", str(tmp_path / "none"))
    with pytest.raises(UserError, match="npuface toolchain install sony"):
        COMPILER.version()


def test_what_does_not_fit_into_the_sensor_is_refused() -> None:
    estimate = estimate_of(REPORT, "cannot compile")
    assert (estimate.sram_bytes, estimate.kind) == (98624, "compiler estimate")
    with pytest.raises(UserError, match=r"it takes 9,000,000 bytes of the sensor's 8,388,480"):
        estimate_of({**REPORT, "Memory Usage": "9000000B", "Fit In Chip": False}, "cannot compile")


def test_the_target_takes_the_float_model_and_knows_the_kernel_limit() -> None:
    spec = HeatmapSpec(points=68, height=64, width=64)
    assert TARGET.compiles == "float"
    assert TARGET.refuses_form(form_by_name("onebyone"), spec) is None
    assert TARGET.refuses_form(form_by_name("seed"), spec) == "Conv kernel (64, 64) is higher than 12"


def test_convolutions_become_layers_and_compute_the_same(tmp_path: Path) -> None:
    network = whole_module(model_with("relative-threshold", tmp_path))
    layered = with_layers(network)
    picture = torch.from_numpy(pictures()[0])
    with torch.no_grad():
        assert torch.equal(layered(picture), network(picture))
    kinds = [type(module) for module in layered.modules()]
    assert kinds.count(torch.nn.Conv2d) == sum(operator == "Conv" for operator in network_operators(network))
    constants = sum(buffer.numel() for buffer in layered.buffers())
    assert constants < sum(buffer.numel() for buffer in network.buffers()) / 2  # the weights are in the layers alone
    assert not any(node.target is torch.nn.functional.conv2d for node in layered.graph.nodes)


def network_operators(network: torch.nn.Module) -> list[str]:
    return [node.operator for node, _ in network._steps]
