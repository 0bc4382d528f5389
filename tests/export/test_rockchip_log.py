"""What RKNN-Toolkit2 prints: real lines of its builds are read, and what is not as expected is refused."""

from __future__ import annotations

import re

import pytest

from npuface_export.compilers.rockchip_log import Layer, read_build_log
from npuface_runtime.errors import UserError

TIME = "D RKNN: [22:44:15.024] "
RULER = "-" * 180
RV1126B = f"""\x1b[36mD fuse_ops results:\x1b[0m
D     tiling_maxpool: remove node = ['decode/node_max_pool2d'], add node = ['heatmaps_mp', 'heatmaps_mp_mp']
D     remove_dataconvert_for_q_op: remove node = ['decode/max_pool2d__cvt_float16_int8']
E build: lines like this stand in good builds too
{TIME}{RULER}
{TIME}                              Network Layer Information Table
{TIME}{RULER}
{TIME}ID   OpType         DataType Target InputShape    OutputShape  Cycles(DDR/NPU/Total) SparseRatio RW(KB)  FullName
{TIME}{RULER}
{TIME}0    InputOperator  INT8     CPU    \\             (1,3,256,256) 0/0/0                0    InputOperator:pictures
{TIME}1    Conv           INT8     NPU    (1,3,256,256),... (1,24,128,128) 96759/147456/147456 0% 193 Conv:node_Conv_976
{TIME}2    Resize         FLOAT16  NPU    (1,96,8,8),(1),(4) (1,96,16,16) 0/0/0  6    Resize:node_upsample_nearest2d_1
{TIME}3    OutputOperator FLOAT16  CPU    (1,340,1,1)    \\  0/0/0    0            OutputOperator:decoded
{TIME}{RULER}
{TIME}Total Internal Memory Size: 2816KB
{TIME}Total Weight Memory Size: 1784.31KB
"""
"""Of a build for rv1126b; its table has a column that may be blank. Columns are less far apart than they are there."""
RK3566 = re.sub(r" SparseRatio| 0%", "", RV1126B)
"""The same table as rk3566 and rv1106 have it."""


@pytest.mark.parametrize("text", [RV1126B, RK3566])
def test_the_table_is_read_by_its_header(text: str) -> None:
    log = read_build_log(text)
    assert [layer.operator for layer in log.layers] == ["InputOperator", "Conv", "Resize", "OutputOperator"]
    assert log.layers[1] == Layer("node_Conv_976", "Conv", "INT8", "NPU", 147456, 193 * 1024)
    assert (log.layers[2].dtype, log.layers[2].cycles, log.layers[2].moved_bytes) == ("FLOAT16", 0, 6 * 1024)
    assert (log.internal_bytes, log.weight_bytes) == (2816 * 1024, 1827133)
    assert log.replaced == ((("decode/node_max_pool2d",), ("heatmaps_mp", "heatmaps_mp_mp")),)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("Network Layer Information Table", "Something else"), "it has 0 tables of layers, not one"),
        (("Target InputShape", "InputShape"), "its table of layers has no column Target"),
        (("96759/147456/147456", "fast"), "a row of its table of layers is not understood: 1 "),
        (("1    Conv ", "7    Conv "), "a row of its table of layers is not understood: 7 "),
        ((" NPU    (1,3,256,256),", " DSP    (1,3,256,256),"), "is not understood: 1 "),
        ((" 0% 193 ", " 193 a b "), "has 11 cells for 10 columns"),
        (("Conv:node_Conv_976", "node_Conv_976"), "is not understood: 1 "),
        (("Total Weight Memory Size", "Weights"), "it does not tell the weight memory"),
    ],
)
def test_what_is_not_as_expected_is_an_error(change: tuple[str, str], why: str) -> None:
    assert change[0] in RV1126B
    with pytest.raises(UserError) as caught:
        read_build_log(RV1126B.replace(*change))
    assert why in str(caught.value)
    assert "npuface toolchain install" in str(caught.value)


def test_a_table_without_layers_or_end_is_an_error() -> None:
    rows = [line for line in RV1126B.splitlines() if not re.match(rf"{re.escape(TIME)}\d", line)]
    with pytest.raises(UserError, match="its table of layers is empty"):
        read_build_log("\n".join(rows))
    cut = RV1126B[: RV1126B.index(f"{TIME}2 ")] + f"{TIME}Total Internal Memory Size: 1KB\n"
    with pytest.raises(UserError, match="or no end"):
        read_build_log(cut + f"{TIME}Total Weight Memory Size: 1KB\n")


@pytest.mark.parametrize("text", ["", "garbage\n\x00\n", RV1126B * 2])
def test_garbage_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="cannot read what RKNN-Toolkit2 printed"):
        read_build_log(text)
