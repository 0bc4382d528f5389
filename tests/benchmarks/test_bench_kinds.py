"""What bench makes of networks that draw something else than heatmaps, and of bundles for another device than a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from box_peer import BoxPeer
from numpy.typing import NDArray
from torch import Tensor, nn

from npuface_benchmarks.bench import bench
from npuface_benchmarks.facts import opening_facts
from npuface_benchmarks.markdown import markdown_report
from npuface_benchmarks.number_kinds import MEASURED, STANDING_IN
from npuface_benchmarks.peer_table import peer_table, verdicts
from npuface_benchmarks.record import Record
from npuface_benchmarks.report import html_report
from npuface_benchmarks.tables import answer_tables
from npuface_export.export import export_bundle
from npuface_export.network import Network
from npuface_export.quantize import quantize_bundle
from npuface_export.target import target_by_name
from npuface_toolkit.variations import write_variations

POINTS, CELLS, STRIDE = 3, 16, 4
CHANNELS = {"heatmaps": POINTS, "heatmap-offset": 3 * POINTS, "simcc": POINTS}
ANY_DECODE = 100.0
"""Heatmap px by which a decode may move landmarks: random weights draw no peaks that it could keep."""


class _Drawn(nn.Module):
    """Pictures [1, 3, S, S] -> what a network of some kind draws, by random weights; classifiers by linear layers."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.draw = nn.Conv2d(3, CHANNELS[kind], STRIDE, STRIDE)
        self.columns, self.rows = (nn.Linear(CELLS * CELLS, CELLS) for _ in range(2))

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.draw(pictures)
        if self.kind != "simcc":
            return torch.sigmoid(3 * maps)
        features = maps.flatten(2)
        return torch.cat([self.columns(features), self.rows(features)], dim=2).unsqueeze(2)


def network(kind: str) -> Network:
    return Network(
        name=kind,
        module=_Drawn(kind).eval(),
        input_shape=(CELLS * STRIDE, CELLS * STRIDE),
        heatmap_shape=(CELLS, CELLS),
        cell_scale=(STRIDE, STRIDE),
        cell_offset=((STRIDE - 1) / 2, (STRIDE - 1) / 2),
        points=POINTS,
        scheme="three",
        mean=(127.5,) * 3,
        std=(127.5,) * 3,
        margin=1.3,
        threshold=0.3,
        beta=20.0,
        sigma=1.5,
        kind=kind,
    )


def export(kind: str, target: str, out: Path, form: str | None = None) -> Path:
    export_bundle(network(kind), target_by_name(target), out, form=form, budget=ANY_DECODE)
    return out


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("heatmap-offset", "onnxruntime-cpu"),
        ("heatmap-offset", "litert-cpu"),
        ("simcc", "onnxruntime-cpu"),
        ("simcc", "openvino-cpu"),
        ("simcc", "litert-cpu"),
    ],
)
def test_networks_of_every_kind_are_timed_both_ways(
    kind: str, target: str, astronaut: NDArray[np.uint8], tmp_path: Path
) -> None:
    bundles = [export(kind, target, tmp_path / form, form) for form in (kind, f"{kind}-host")]
    record = bench(bundles, picture=astronaut, threads=(1,), runs=3, warmup=1)
    cells = 3 * CELLS * CELLS if kind == "heatmap-offset" else 2 * CELLS
    for result in record.results:
        assert (result.kind, len(result.timings), len(result.landmarks)) == (MEASURED, 1, POINTS)
        assert result.heatmap_bytes == POINTS * cells * 4
    own, host = (result.difference["max_px"] for result in record.results)
    assert host < 1e-4  # the host form's landmarks, whose parity with torch the export asserts
    assert own < 1e-2 if kind == "simcc" else own > 1e-2  # a mean over cells is another decode than the highest one
    assert Record.from_text(record.to_text()) == record


@pytest.mark.parametrize(
    ("kind", "target"),
    [("heatmap-offset", "onnxruntime-cpu"), ("heatmap-offset", "litert-cpu"), ("simcc", "litert-cpu")],
)
def test_the_integers_of_a_quantized_network_are_decoded(
    kind: str, target: str, astronaut: NDArray[np.uint8], tmp_path: Path
) -> None:
    """They leave it in the engine's own layout, and mean what the manifest's scale says."""
    (tmp_path / "pictures").mkdir()
    write_variations(astronaut, tmp_path / "pictures", 4)
    bundle = export(kind, target, tmp_path / "bundle", f"{kind}-host")
    quantize_bundle(bundle, tmp_path / "pictures")
    (result,) = bench([bundle], picture=astronaut, threads=(1,), runs=3, warmup=1).results
    assert result.heatmap_dtype in ("int8", "uint8")
    assert result.heatmap_bytes == POINTS * (3 * CELLS * CELLS if kind == "heatmap-offset" else 2 * CELLS)
    assert result.difference["max_px"] < 1e-4


class _Corner(BoxPeer):
    """A network of somebody else: it says that every point is the box's corner."""

    name = "corner"

    def decode(self, outputs: NDArray[np.float32], back: object) -> NDArray[np.float32]:
        return np.tile(outputs[:2], (POINTS, 1))


@pytest.fixture(scope="module")
def beside(astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A bundle for a GPU before one for a CPU, and a peer."""
    folder = tmp_path_factory.mktemp("beside")
    bundles = [export("heatmaps", target, folder / target) for target in ("openvino-gpu", "openvino-cpu")]
    return bench(bundles, picture=astronaut, threads=(1,), runs=3, warmup=1, peers=[_Corner])


def test_what_stands_in_for_a_gpu_is_not_timed(beside: Record) -> None:
    gpu, cpu = beside.results
    assert (gpu.kind, gpu.timings, gpu.memory, gpu.placement) == (STANDING_IN, (), None, None)
    assert (cpu.kind, len(cpu.timings)) == (MEASURED, 1)
    assert len(gpu.landmarks) == POINTS
    assert np.allclose(gpu.landmarks, cpu.landmarks)


def test_what_stands_in_for_a_gpu_is_in_no_ratio_and_no_verdict(beside: Record) -> None:
    (ratio,) = [fact for fact in opening_facts(beside) if fact.kind.startswith(MEASURED)]
    assert ratio.value == f"{beside.results[1].timings[0].ratio:.2f}×"
    (said,) = verdicts(beside)
    assert said.startswith("openvino-cpu is ")
    table = peer_table(beside)
    assert table is not None
    assert [group.shared[0] for group in table.groups] == ["openvino-cpu", "corner"]


def test_the_report_says_that_a_cpu_stood_in(beside: Record, astronaut: NDArray[np.uint8]) -> None:
    other, timed = answer_tables(beside)
    assert "a CPU stands in" in other.title
    assert [group.shared[0] for group in other.groups] == ["openvino-gpu"]
    assert [group.shared[0] for group in timed.groups] == ["openvino-cpu"]
    for text in (markdown_report(beside, "face.png"), html_report(beside, astronaut)):
        assert "a CPU stands in" in text
        assert "(standing in)" in text
        assert "On the NPU" not in text
