"""The compatibility matrix: measured on a small network by real compilers, and how the page tells it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor, nn

from npuface_benchmarks.matrix import Cell, Matrix, measure_matrix, merged, placeless
from npuface_benchmarks.matrix_page import FILE_NAME, matrix_bytes, matrix_page, read_matrix
from npuface_benchmarks.record import Estimate
from npuface_export.network import Network
from npuface_export.target import Target, target_by_name, targets
from npuface_export.toolchains.toolchain import HOME_VARIABLE
from npuface_runtime.errors import UserError
from npuface_toolkit.variations import write_variations

SIZE, STRIDE = 64, 4


class _Channels(nn.Module):
    """Three heatmaps: the picture's channels, averaged over each cell, above the middle grey."""

    def __init__(self) -> None:
        super().__init__()
        self.halvings = nn.Sequential(*[nn.Conv2d(3, 3, 2, 2, groups=3) for _ in range(2)])
        for halving in self.halvings:
            nn.init.constant_(halving.weight, 1 / 4)
            nn.init.constant_(halving.bias, 0.1)

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.halvings(pictures)
        return maps


NETWORK = Network(
    name="channels",
    module=_Channels().eval(),
    input_shape=(SIZE, SIZE),
    heatmap_shape=(SIZE // STRIDE,) * 2,
    cell_scale=(STRIDE, STRIDE),
    cell_offset=((STRIDE - 1) / 2,) * 2,
    points=3,
    scheme="test-3",
    mean=(127.5,) * 3,
    std=(127.5,) * 3,
    margin=1.3,
    threshold=0.3,
    beta=20.0,
    sigma=1.5,
)


@pytest.fixture(scope="module")
def measured(
    astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Cell, dict[str, str]]]:
    pictures = tmp_path_factory.mktemp("pictures")
    write_variations(astronaut, pictures, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(tmp_path_factory.mktemp("no-toolchains")))
        names = ("ethos-u55-128", "ethos-u55-256", "onnxruntime-cpu", "qualcomm-htp-v75")
        chosen: list[Target] = [target_by_name(name) for name in names]
        found = measure_matrix([NETWORK], chosen, pictures, tmp_path_factory.mktemp("bundles"))
        return {cell.target: (cell, dict(tools)) for cell, tools in found}


def test_an_npu_has_placement_shift_and_estimate(measured: dict[str, tuple[Cell, dict[str, str]]]) -> None:
    cell, tools = measured["ethos-u55-128"]
    assert (cell.refused, cell.cpu, cell.cpu_operators, cell.precision) == (None, 0, (), "int8")
    assert cell.npu is not None
    assert cell.npu >= 5
    assert cell.shift_px is not None
    assert cell.oracle == "litert on a CPU"
    assert cell.estimate is not None
    assert cell.estimate.kind == "compiler estimate"
    assert tools["vela"]


def test_another_chip_of_the_kind_is_compiled_from_the_same_bundle(
    measured: dict[str, tuple[Cell, dict[str, str]]],
) -> None:
    first, second = measured["ethos-u55-128"][0], measured["ethos-u55-256"][0]
    assert (first.form, first.shift_px, first.npu) == (second.form, second.shift_px, second.npu)
    assert first.estimate is not None
    assert second.estimate is not None
    assert first.estimate.cycles != second.estimate.cycles


def test_a_cpu_engine_has_neither(measured: dict[str, tuple[Cell, dict[str, str]]]) -> None:
    cell, _ = measured["onnxruntime-cpu"]
    assert (cell.is_npu, cell.npu, cell.cpu, cell.estimate) == (False, None, None, None)
    assert cell.shift_px is not None


def test_a_missing_toolchain_is_a_refusal_with_its_reason(measured: dict[str, tuple[Cell, dict[str, str]]]) -> None:
    cell, _ = measured["qualcomm-htp-v75"]
    assert cell.refused == "the toolchain qualcomm is not installed"
    assert cell.form is None


MATRIX = Matrix(
    cells=(
        Cell("a", "npu-1", form="seed", precision="int8", npu=9, cpu=0, shift_px=0.0421, shift_max_px=0.5, faces=24),
        Cell("a", "npu-2", form="seed", precision="int8", npu=8, cpu=1, cpu_operators=("1 Softmax: too long",)),
        Cell("a", "npu-3", refused="the graph | has\nno head."),
        Cell("a", "npu-4", form="seed", precision="int8", npu=9, cpu=0, contradicted="it computes something else"),
        Cell("a", "npu-5", form="seed", precision="int8", npu=8, cpu=0, contradicted="it computes something else"),
        Cell("b", "npu-1", form="host", precision="int8", estimate=Estimate("compiler estimate", cycles=2_500_000)),
    ),
    models={"a": "68 points", "b": "5 points"},
    tools={"tool": "1.2"},
)


def test_the_page_numbers_its_notes_and_keeps_its_tables_whole() -> None:
    page = matrix_page(MATRIX)
    assert "| npu-1 | yes | 9 | 0 | seed, int8 | 0.042 / 0.50 (24 faces) | - | - |" in page
    assert "| npu-2 | yes [1] | 8 | 1 |" in page
    assert "1. npu-2: 1 Softmax: too long." in page
    assert "| npu-3 | no [2] | - |" in page
    assert "2. npu-3: The graph | has no head." in page
    assert "| npu-4 | compiles, but wrongly [3] | 9 | 0 |" in page
    assert "3. npu-4, npu-5: It computes something else." in page
    assert "2.50 M cycles" in page
    assert page.count("## ") == 2


def test_what_is_measured_anew_takes_the_place_of_what_was() -> None:
    again = Cell("a", "npu-3", form="host", precision="int8", npu=7, cpu=0)
    more = Cell("c", "npu-1", form="host", precision="int8")
    both = merged(MATRIX, Matrix((again, more), {"c": "9 points"}, {"tool": "1.3"}))
    assert [cell.model + cell.target for cell in both.cells] == [
        "anpu-1",
        "anpu-2",
        "anpu-3",
        "anpu-4",
        "anpu-5",
        "bnpu-1",
        "cnpu-1",
    ]
    assert both.cells[2] == again
    assert both.models == {**MATRIX.models, "c": "9 points"}
    assert both.tools == {"tool": "1.3"}


def test_a_vendors_message_loses_the_folders_of_the_machine() -> None:
    text = 'Cannot load "/usr/lib/x/libnpu.so": /a/libnpu.so is missing; see https://vendor.com/docs/npu and npu/libs'
    assert (
        placeless(text) == 'Cannot load "libnpu.so": libnpu.so is missing; see https://vendor.com/docs/npu and npu/libs'
    )


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "matrix.json").write_bytes(matrix_bytes(MATRIX))
    assert read_matrix(tmp_path / "matrix.json") == MATRIX
    (tmp_path / "matrix.json").write_text("{}")
    with pytest.raises(UserError, match=r"matrix has no field 'cells'.*npuface matrix"):
        read_matrix(tmp_path / "matrix.json")


DOCS = Path(__file__).parents[2] / "docs"
WHOLE = ("ethos-u", "qualcomm-htp-", "rockchip-")
"""Whose targets take the shipped student as a whole."""


def test_the_page_in_the_documents_is_that_of_its_record() -> None:
    assert matrix_page(read_matrix(DOCS / FILE_NAME)) == (DOCS / "matrix.md").read_text(), "run make docs"


def test_the_record_has_every_target_and_keeps_what_is_promised_of_the_student() -> None:
    """Zero operators on the CPU, and the landmarks within 0.1 heatmap px, by the vendors' own tools."""
    cells = {cell.target: cell for cell in read_matrix(DOCS / FILE_NAME).cells if cell.model == "student-68"}
    assert set(cells) == set(targets()), "measure again: npuface matrix"
    promised = [cell for name, cell in cells.items() if name.startswith(WHOLE)]
    assert len(promised) == 21
    for cell in promised:
        assert (cell.refused, cell.contradicted, cell.cpu) == (None, None, 0), cell.target
        assert cell.npu is not None
        assert cell.npu > 50
        assert cell.shift_px is not None
        assert cell.shift_px <= 0.1, cell.target
        assert cell.faces is not None
        assert cell.faces >= 20
