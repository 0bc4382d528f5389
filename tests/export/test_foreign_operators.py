"""Every operator that is read, in the notations of its operator sets, against onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from foreign_models import run, saved
from onnx import numpy_helper

from npuface_export.foreign.onnx_module import OnnxModule
from npuface_export.foreign.operators import TABLE
from npuface_export.foreign.read import read_foreign
from npuface_runtime.errors import UserError

HEIGHT, WIDTH = 12, 10
CONSTANTS = {
    "w": (4, 3, 3, 3),
    "deep": (3, 1, 3, 3),
    "up": (3, 4, 3, 3),
    "four": (4,),
    "three": (3,),
    "slope": (3, 1, 1),
    "planes": (1, 3, 1, 1),
    "matrix": (10, 5),
    "dense": (5, 360),
    "five": (5,),
}
INTEGERS = {
    "sizes": [1, 3, 24, 20],
    "starts": [0, 2],
    "ends": [3, 9],
    "axes": [1, 3],
    "steps": [1, 2],
    "pads": [0, 0, 1, 2, 0, 0, 3, 0],
    "split": [1, 2],
    "rows": [1, 3, 120],
    "whole": [1, 360],
    "axis2": [2],
    "axes23": [2, 3],
    "axis0": [0],
    "four_axes": [3, 3, 4, 12, 10],
    "pick": [1, 2],
    "stretched": [2, 3, 12, 10],
    "back": [-1, -1],
}
FLOATS = {"zero": 0.0, "one": 1.0, "six": 6.0, "half": 0.5}
BETWEEN = range(8, 22)


def since(first: int, last: int = 21) -> list[int]:
    """The oldest, the newest and a middle operator set of a notation."""
    return sorted({first, (first + last) // 2, last})


CASES: list[tuple[str, list[int]]] = [
    *[(f"y = {name} (x)", since(8)) for name in ("Relu", "Sigmoid", "Tanh", "Exp", "Neg", "Abs", "Floor", "Ceil")],
    *[
        (f"y = {name} (x)", since(8))
        for name in ("Identity", "Elu <alpha = 0.7>", "LeakyRelu <alpha = 0.1>", "Softplus")
    ],
    ("a = Abs (x)\nb = Sqrt (a)\nc = Add (b, one)\nd = Reciprocal (c)\ny = Log (d)", since(8)),
    ("a = Erf (x)\ny = Round (a)", since(11)),
    ("y = HardSigmoid <alpha = 0.3> (x)", since(8)),
    ("a = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x)\ny = Mul (x, a)", since(8)),
    ("y = HardSwish (x)", since(14)),
    ("y = Gelu (x)", [20, 21]),
    ("y = PRelu (x, slope)", since(9)),
    ("y = Clip <min = -0.5, max = 0.5> (x)", since(8, 10)),
    ("y = Clip (x, zero, six)", since(11)),
    ("y = Clip (x, , one)", since(12)),
    ("a = Add (x, planes)\nb = Sub (one, a)\nc = Mul (b, x)\ny = Div (c, half)", since(8)),
    ("a = Max (x, planes)\nb = Min (a, one)\ny = Sum (a, b, x)", since(8)),
    ("a = Abs (x)\ny = Pow (a, half)", since(8)),
    ("a = Cast <to = 7> (x)\nb = Cast <to = 1> (a)\ny = Mod <fmod = 1> (x, one)", since(10)),
    ("y = Dropout (x)", since(8)),
    ("y = Conv <pads = [1, 0, 1, 0], strides = [2, 1]> (x, w, four)", since(8)),
    ("y = Conv <pads = [0, 1, 1, 2], dilations = [2, 1]> (x, w)", since(11)),
    ('y = Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (x, w)', since(11)),
    ('y = Conv <auto_pad = "SAME_LOWER", strides = [2, 3]> (x, w)', since(11)),
    ('y = Conv <auto_pad = "VALID", group = 3> (x, deep)', since(11)),
    ("y = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 0]> (x, up, four)", since(11)),
    ("y = ConvTranspose <strides = [2, 2], pads = [0, 1, 1, 0]> (x, up)", since(11)),
    ('y = ConvTranspose <strides = [2, 2], auto_pad = "SAME_UPPER"> (x, up)', since(11)),
    ("a = Relu (x)\ny = BatchNormalization <epsilon = 0.01> (a, three, three, three, var)", since(9)),
    ("y = InstanceNormalization (x, three, three)", since(8)),
    ("a = Reshape (x, whole)\ny = Gemm <transB = 1, alpha = 0.5> (a, dense, five)", since(11)),
    ("y = MatMul (x, matrix)", since(9)),
    ("y = MaxPool <kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 0]> (x)", since(8)),
    ("y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (x)", since(10)),
    ('y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"> (x)', since(10)),
    ("y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)", since(8)),
    ("y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (x)", since(8)),
    ("y = AveragePool <kernel_shape = [3, 3], pads = [0, 1, 2, 0], strides = [2, 2]> (x)", since(11)),
    ("y = GlobalAveragePool (x)", since(8)),
    ("y = GlobalMaxPool (x)", since(8)),
    ("y = ReduceMean <axes = [2, -1], keepdims = 0> (x)", since(11, 17)),
    ("y = ReduceMean (x, axes23)", since(18)),
    ("y = ReduceMax <axes = [1]> (x)", since(8, 17)),
    ("y = ReduceMin (x, axis2)", since(18)),
    ("y = ReduceL2 <axes = [3]> (x)", since(8, 17)),
    ("y = ReduceSum (x, axes23)", since(13)),
    ("y = Softmax <axis = 1> (x)", since(8)),
    ("y = Softmax <axis = 3> (x)", since(8)),
    ("y = Softmax (x)", since(8)),
    ("a = ArgMax <axis = 3, keepdims = 0> (x)\ny = Cast <to = 1> (a)", since(8)),
    ("y = Upsample <scales = [1.0, 1.0, 2.0, 3.0]> (x)", [8]),
    ('y = Upsample <scales = [1.0, 1.0, 2.0, 2.0], mode = "nearest"> (x)', [8]),
    ("y = Upsample (x, doubled)", [9]),
    ("y = Resize (x, doubled)", [10]),
    ('y = Resize <coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x, , doubled)', since(13)),
    ("y = Resize (x, , doubled)", since(13)),
    ('y = Resize <mode = "linear"> (x, , doubled)', since(13)),
    ('y = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, , , sizes)', since(13)),
    ("y = Reshape (x, rows)", since(8)),
    ("a = Flatten <axis = 2> (x)\ny = Transpose <perm = [1, 0]> (a)", since(8)),
    ("a = Unsqueeze <axes = [0, 3]> (x)\nb = Relu (a)\ny = Squeeze <axes = [0]> (b)", since(8, 12)),
    ("a = Unsqueeze (x, axis0)\nb = Relu (a)\ny = Squeeze (b, axis0)", since(13)),
    ("y = Transpose (x)", since(8)),
    ("a = Relu (x)\ny = Concat <axis = 1> (x, a, x)", since(8)),
    ("a, b = Split <axis = 1, split = [1, 2]> (x)\ny = Mul (a, b)", since(8, 12)),
    ("a, b = Split <axis = 1> (x, split)\ny = Mul (a, b)", since(13)),
    ("y = Slice <starts = [0, 2], ends = [3, -1], axes = [1, 3]> (x)", since(8, 9)),
    ("y = Slice (x, starts, ends, axes, steps)", since(10)),
    ("y = Pad <pads = [0, 0, 1, 2, 0, 0, 3, 0], value = 0.5> (x)", since(8, 10)),
    ("y = Pad (x, pads, half)", since(11)),
    ('y = Pad <mode = "reflect"> (x, pads)', since(11)),
    ('y = Pad <mode = "edge"> (x, pads)', since(11)),
    ("y = Gather <axis = 1> (x, pick)", since(8)),
    ("y = Expand (x, stretched)", since(8)),
    ("a = Concat <axis = 1> (x, x, x, x)\ny = DepthToSpace <blocksize = 2> (a)", since(11)),
    ('a = Concat <axis = 1> (x, x, x, x)\ny = DepthToSpace <blocksize = 2, mode = "CRD"> (a)', since(11)),
]


def model_of(nodes: str, opset: int) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
    net (float[1, 3, {HEIGHT}, {WIDTH}] x) => (y) {{ {nodes} }}"""
    model = onnx.parser.parse_model(text)
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in CONSTANTS.items()}
    arrays |= {name: np.array(value, np.int64) for name, value in INTEGERS.items()}
    arrays |= {name: np.array(value, np.float32) for name, value in FLOATS.items()}
    arrays |= {"var": np.array([0.5, 1, 2], np.float32), "doubled": np.array([1, 1, 2, 2], np.float32)}
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items() if n in used)
    inferred = onnx.shape_inference.infer_shapes(model)
    del model.graph.output[:]
    model.graph.output.extend(list(inferred.graph.output))
    return model


@pytest.mark.parametrize(("nodes", "opsets"), CASES, ids=[nodes for nodes, _ in CASES])
def test_an_operator_computes_what_onnxruntime_does(tmp_path: Path, nodes: str, opsets: list[int]) -> None:
    for opset in opsets:
        model = model_of(nodes, opset)
        entering = np.random.default_rng(1).standard_normal((1, 3, HEIGHT, WIDTH)).astype(np.float32) * 2
        (expected,) = run(model, entering)
        module = OnnxModule(read_foreign(saved(model, tmp_path)).graph).eval()
        with torch.no_grad():
            found = module(torch.from_numpy(entering)).numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-4, err_msg=f"operator set {opset}")


def test_every_operator_of_the_table_is_among_the_cases() -> None:
    shown = {word for nodes, _ in CASES for word in nodes.replace("=", " ").split()}
    assert set(TABLE) - shown == set()


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ("y = Mish (x)", "cannot take the operator Mish of the node 'Mish_0': it is not among the"),
        ("y, at = MaxPool <kernel_shape = [2, 2]> (x)", "it gives the places of the maxima too"),
        ('y = Resize <mode = "cubic"> (x, , doubled)', "its mode is 'cubic'"),
        ('y = Resize <coordinate_transformation_mode = "align_corners"> (x, , doubled)', "it takes the nearest pixel"),
        ("y = Slice (x, ends, starts, axes, back)", "its steps are [-1, -1]"),
    ],
)
def test_an_operator_that_is_not_read_is_refused_by_name(tmp_path: Path, nodes: str, why: str) -> None:
    model = model_of(nodes, 18)
    with pytest.raises(UserError) as caught:
        OnnxModule(read_foreign(saved(model, tmp_path)).graph)
    assert why in str(caught.value)
    assert "of the node" in str(caught.value)
