"""Small models as others would write them: a convolution that draws maps, and a head in ONNX text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

K, STRIDE = 3, 4
SHAPES = [(9, 7), (12, 20), (16, 16)]
"""Heights and widths of the maps: not square, no power of two."""
OPSETS = [8, 11, 13, 18, 21]


def body(
    height: int, width: int, opset: int, head: str, outputs: str, **constants: NDArray[np.generic]
) -> onnx.ModelProto:
    """`picture` [1, 3, 4 H, 4 W] -> `maps` [1, K, H, W] -> a head in ONNX text."""
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]>
        net (float[1, 3, {height * STRIDE}, {width * STRIDE}] picture) => ({outputs}) {{
            drawn = Conv <strides = [{STRIDE}, {STRIDE}]> (picture, weight, bias)
            maps = Relu (drawn)
            {head}
        }}"""
    )
    constants |= {
        "weight": rng.standard_normal((K, 3, STRIDE, STRIDE)).astype(np.float32) / STRIDE,
        "bias": np.full(K, 0.5, np.float32),
    }
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in constants.items() if n in used)
    return model


def reduced(operator: str, tensor: str, axis: int, opset: int, out: str, keep: int = 1) -> str:
    """A reduction over one axis; axes are an input from operator set 13 (sums) or 18 on."""
    is_input = opset >= (13 if operator == "ReduceSum" else 18)
    if is_input:
        return f"{out} = {operator} <keepdims = {keep}> ({tensor}, axis{axis})"
    return f"{out} = {operator} <keepdims = {keep}, axes = [{axis}]> ({tensor})"


def _common(height: int, width: int) -> dict[str, NDArray[np.generic]]:
    across, down = (
        grid.reshape(1, 1, -1).astype(np.float32) for grid in np.meshgrid(np.arange(width), np.arange(height))
    )
    return {
        "flat": np.array([1, K, height * width]),
        "square": np.array([1, K, height, width]),
        "axis2": np.array([2]),
        "axis3": np.array([3]),
        "across": across,
        "down": down,
    }


def kornia(height: int, width: int, opset: int, beta: float = 7.0, is_normalised: bool = True) -> onnx.ModelProto:
    """kornia.geometry.spatial_soft_argmax2d: times a temperature, softmax, times a grid of -1..1, summed."""
    constants = _common(height, width)
    if is_normalised:
        constants["across"] = constants["across"] / (width - 1) * 2 - 1
        constants["down"] = constants["down"] / (height - 1) * 2 - 1
    head = f"""
        flattened = Reshape (maps, flat)
        scaled = Mul (flattened, beta)
        share = Softmax <axis = 2> (scaled)
        shared_x = Mul (share, across)
        shared_y = Mul (share, down)
        {reduced("ReduceSum", "shared_x", 2, opset, "x")}
        {reduced("ReduceSum", "shared_y", 2, opset, "y")}
        points = Concat <axis = 2> (x, y)"""
    beta_array = np.array(beta, np.float32)
    return body(height, width, opset, head, f"float[1, {K}, 2] points", **_cast(constants), beta=beta_array)


def dsnt(height: int, width: int, opset: int) -> onnx.ModelProto:
    """dsntnn: softmax, sums over one axis, times the cell centres of -1..1, y and x leave apart."""
    constants = _common(height, width)
    constants["ramp_x"] = ((2 * np.arange(width) + 1) / width - 1).astype(np.float32)
    constants["ramp_y"] = ((2 * np.arange(height) + 1) / height - 1).astype(np.float32)
    head = f"""
        flattened = Reshape (maps, flat)
        share = Softmax <axis = 2> (flattened)
        planes = Reshape (share, square)
        {reduced("ReduceSum", "planes", 3, opset, "rows", 0)}
        {reduced("ReduceSum", "planes", 2, opset, "columns", 0)}
        weighed_y = Mul (rows, ramp_y)
        weighed_x = Mul (columns, ramp_x)
        {reduced("ReduceSum", "weighed_y", 2, opset, "y", 0)}
        {reduced("ReduceSum", "weighed_x", 2, opset, "x", 0)}"""
    return body(height, width, opset, head, f"float[1, {K}] y, float[1, {K}] x", **_cast(constants))


def by_matrix(height: int, width: int, opset: int) -> onnx.ModelProto:
    """NHWC maps, softmax over cells, times a [H W, 2] matrix of row and column in 0..1."""
    constants = _common(height, width)
    constants["flat"] = np.array([height * width, K])
    grid = np.stack([constants["down"].ravel() / (height - 1), constants["across"].ravel() / (width - 1)], axis=1)
    head = """
        last = Transpose <perm = [0, 2, 3, 1]> (maps)
        flattened = Reshape (last, flat)
        turned = Transpose <perm = [1, 0]> (flattened)
        share = Softmax <axis = 1> (turned)
        points = MatMul (share, grid)"""
    return body(height, width, opset, head, f"float[{K}, 2] points", **_cast(constants), grid=grid.astype(np.float32))


def arg_max(height: int, width: int, opset: int, is_divided: bool = True) -> onnx.ModelProto:
    """The index of the highest cell, divided into column and row where the operator set has Mod."""
    constants = _common(height, width)
    head = """
        flattened = Reshape (maps, flat)
        index = ArgMax <axis = 2, keepdims = 1> (flattened)"""
    if is_divided:
        head += """
        row = Div (index, wide)
        column = Mod (index, wide)
        points = Concat <axis = 2> (column, row)"""
    outputs = f"int64[1, {K}, 2] points" if is_divided else f"int64[1, {K}, 1] index"
    return body(height, width, opset, head, outputs, **_cast(constants), wide=np.array(width))


def _cast(constants: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    return {n: v.astype(np.float32 if np.issubdtype(v.dtype, np.floating) else np.int64) for n, v in constants.items()}


def maps_only(height: int, width: int, opset: int, sigmoid: bool = False, last: bool = False) -> onnx.ModelProto:
    """Heatmaps leave: as they are, through a Sigmoid, channels last."""
    head, tensor, shape = "", "maps", f"{K}, {height}, {width}"
    if sigmoid:
        head, tensor = "likely = Sigmoid (maps)\n", "likely"
    if last:
        head += f"turned = Transpose <perm = [0, 2, 3, 1]> ({tensor})"
        tensor, shape = "turned", f"{height}, {width}, {K}"
    return body(height, width, opset, head, f"float[1, {shape}] {tensor}")


def openseeface_like(cells: int, opset: int, is_sigmoid: bool = False) -> onnx.ModelProto:
    """Heatmaps, row offsets and column offsets from one convolution in three groups."""
    rng = np.random.default_rng(1)
    end = "Sigmoid (grouped)" if is_sigmoid else "Relu (grouped)"
    head = f"""
        grouped = Conv <group = 3> (maps, heads, shift)
        all = {end}"""
    weight = rng.uniform(0.1, 0.9, (3 * K, 1, 1, 1)).astype(np.float32)
    shift = np.zeros(3 * K, np.float32)
    return body(cells, cells, opset, head, f"float[1, {3 * K}, {cells}, {cells}] all", heads=weight, shift=shift)


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "theirs.onnx")
    return folder / "theirs.onnx"


def run(model: onnx.ModelProto, picture: NDArray[np.float32], *inner: str) -> list[NDArray[np.generic]]:
    """Tensors of a model, its outputs without names, by onnxruntime."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {value.name for value in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner if name not in known)
    session = onnxruntime.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(list(inner) or None, {copy.graph.input[0].name: picture}))


def picture(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(2).standard_normal((1, 3, height * STRIDE, width * STRIDE)).astype(np.float32)
