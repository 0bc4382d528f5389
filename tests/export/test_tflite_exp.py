"""Integer exponentials in .tflite: fused, right on the interpreter, on the NPU by Vela's report."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import qtyping, quantizer
from numpy.typing import NDArray
from tflite_models import new_folder, quantized_model
from torch import Tensor, nn

from npuface_export.compilers import compiler_by_name
from npuface_export.converters import converter_by_name
from npuface_export.converters.tflite_exp import fuse_exponentials
from npuface_export.converters.tflite_graph import Graph
from npuface_export.quiet import quiet_tools
from npuface_export.target import target_by_name

_SIZE = 16


class _Exponential(nn.Module):
    """exp(beta (h - 1)) between two convolutions, as the squash of a decode stands between them."""

    def __init__(self) -> None:
        super().__init__()
        self.sums = nn.Conv2d(3, 3, (_SIZE, 1), groups=3, bias=False)
        nn.init.constant_(self.sums.weight, 1)

    def forward(self, heatmaps: Tensor) -> Tensor:
        sums: Tensor = self.sums(torch.exp((heatmaps - 1) * 10))
        return sums


def _pictures(count: int) -> list[NDArray[np.float32]]:
    return [np.random.default_rng(i).uniform(0, 1, (1, 3, _SIZE, _SIZE)).astype(np.float32) for i in range(count)]


@cache
def _quantized(bits: int) -> Path:
    """An identity-like network with the exponential behind it, all of it quantized to `bits`, not fused."""
    network = nn.Conv2d(3, 3, 1, groups=3, bias=False)
    nn.init.constant_(network.weight, 1)
    model = converter_by_name("litert").convert(network.eval(), _Exponential().eval(), (_SIZE, _SIZE), new_folder())
    tool = quantizer.Quantizer(str(model.files["model"]))
    tool.add_static_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, activation_num_bits=bits, weight_num_bits=8)
    graph = Graph.read(model.files["model"])
    with quiet_tools():
        feeds = [{"picture": picture.transpose(0, 2, 3, 1)} for picture in _pictures(8)]
        ranges = tool.calibrate({"serving_default": feeds})
        (exp,) = (op for op in graph.operators if graph.operator_name(op) == "EXP")
        ranges[graph.name(int(exp.inputs[0]))] = _range(-10, 0)
        ranges[graph.name(int(exp.outputs[0]))] = _range(0, 1)
        result = tool.quantize(ranges, enable_progress_report=False)
    path = new_folder() / "exp.tflite"
    path.write_bytes(bytes(result.quantized_model or b""))
    return path


def _range(low: float, high: float) -> dict[str, NDArray[np.float32]]:
    return {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}


def _fused(bits: int) -> Graph:
    graph = Graph.read(_quantized(bits))
    assert fuse_exponentials(graph) == 1
    return graph


@pytest.mark.parametrize("bits", [8, 16])
def test_the_quantizer_leaves_exp_in_float_and_the_fusion_does_not(bits: int) -> None:
    before = Graph.read(_quantized(bits))
    assert {"DEQUANTIZE", "EXP"} <= set(before.operator_counts()), "the quantizer can do it: drop the fusion"
    graph = _fused(bits)
    (exp,) = (op for op in graph.operators if graph.operator_name(op) == "EXP")
    assert {graph.dtype(i) for i in graph.activations(exp)} == {f"int{bits}"}
    assert "DEQUANTIZE" not in graph.operator_counts()
    assert fuse_exponentials(graph) == 0, "nothing is left to fuse"


@pytest.mark.parametrize(("bits", "steps"), [(8, 0.501), (16, 8)])
def test_the_interpreter_gives_the_exponential_of_float64(bits: int, steps: float, tmp_path: Path) -> None:
    """8 bits: exp of the quantized input, rounded. 16 bits: TFLite interpolates in a table of 512 cells.

    Over -10 to 10 a cell is 0.039, and a straight line in it misses exp by up to 0.039^2 / 8: six steps of 1 / 32767.
    """
    graph = _fused(bits)
    (exp,) = (op for op in graph.operators if graph.operator_name(op) == "EXP")
    graph.write(tmp_path / "fused.tflite")
    interpreter = Interpreter(str(tmp_path / "fused.tflite"), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    entry = interpreter.get_input_details()[0]
    scale, zero = entry["quantization"]
    ramp = np.rint(np.linspace(0, 1, _SIZE**2 * 3) / scale) + zero  # visits every level of 8 bits
    limits = np.iinfo(entry["dtype"])
    levels = np.clip(ramp, limits.min, limits.max).astype(entry["dtype"])
    interpreter.set_tensor(entry["index"], levels.reshape(1, _SIZE, _SIZE, 3))
    interpreter.invoke()

    def real(tensor: int) -> NDArray[np.float64]:
        scale, zero = details[tensor]["quantization"]
        return (interpreter.get_tensor(tensor).astype(np.float64) - zero) * scale

    exact, found = np.exp(real(int(exp.inputs[0]))), real(int(exp.outputs[0]))
    assert len(np.unique(exact)) > 200
    assert np.abs(found - exact).max() <= steps * details[int(exp.outputs[0])]["quantization"][0]


@pytest.mark.parametrize("bits", [8, 16])
def test_vela_puts_it_on_the_npu(bits: int, tmp_path: Path) -> None:
    _fused(bits).write(tmp_path / "fused.tflite")
    target = target_by_name("ethos-u55-128")
    assert target.compiler is not None
    made = compiler_by_name(target.compiler).compile(tmp_path / "fused.tflite", target, tmp_path)
    assert made.placement.cpu == 0


def test_the_decode_with_an_exponential_is_all_integers() -> None:
    model = quantized_model("per-map-maximum", "int16")
    assert model.operators["EXP"] == 1
    assert "DEQUANTIZE" not in model.operators
