"""Real bundles on real engines: a small network with random weights, on a photograph."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from box_peer import BoxPeer
from numpy.typing import NDArray

from npuface_benchmarks.bench import bench
from npuface_benchmarks.candidate import label_folders, load_candidates
from npuface_benchmarks.machine import usable_cores
from npuface_benchmarks.number_kinds import EMULATED, ESTIMATED, MEASURED
from npuface_benchmarks.record import Estimate, Placement, Record, Shift
from npuface_export.export import export_bundle
from npuface_export.network import Network
from npuface_export.target import target_by_name
from npuface_runtime import FaceAligner, UserError
from npuface_toolkit.cli import main
from npuface_toolkit.student import STRIDE, HeatmapNetwork, Student, StudentConfig

CELLS, POINTS = 16, 5
STAGES = ["prepare", "network", "transfer", "decode", "map"]
ONNX, SEED, NPU = "onnx", "onnx-seed", "npu"


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    config = StudentConfig(
        CELLS * STRIDE, POINTS, boundaries=2, width=0.25, depth=1, stem=8, features=8, compensation=8
    )
    module = HeatmapNetwork(Student(config).eval())
    return Network(
        name="small",
        module=module,
        input_shape=(CELLS * STRIDE, CELLS * STRIDE),
        heatmap_shape=(CELLS, CELLS),
        cell_scale=(STRIDE, STRIDE),
        cell_offset=((STRIDE - 1) / 2, (STRIDE - 1) / 2),
        points=POINTS,
        scheme="five",
        mean=(127.5,) * 3,
        std=(127.5,) * 3,
        margin=1.3,
        threshold=0.3,
        beta=20,
        sigma=1.5,
    )


@pytest.fixture(scope="module")
def bundles(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Two decode forms on ONNX Runtime, and a bundle for an NPU, which LiteRT stands in for."""
    folder = tmp_path_factory.mktemp("bundles")
    wanted = {
        ONNX: ("onnxruntime-cpu", "relative-threshold"),
        SEED: ("onnxruntime-cpu", "seed"),
        NPU: ("ethos-u55-128", "relative-threshold"),
    }
    for name, (target, form) in wanted.items():
        export_bundle(network, target_by_name(target), folder / name, form=form)
    return {name: folder / name for name in wanted}


@pytest.fixture(scope="module")
def found(bundles: Mapping[str, Path], astronaut: NDArray[np.uint8]) -> Record:
    return bench(list(bundles.values()), picture=astronaut, threads=(1, 4096), runs=3, warmup=1)


def test_both_ways_are_timed_stage_by_stage(found: Record) -> None:
    for result in found.results[:2]:
        assert result.kind == MEASURED
        assert [timing.threads for timing in result.timings] == [1]
        for way in (result.timings[0].coordinates, result.timings[0].heatmaps):
            assert list(way.stages) == STAGES
            assert all(0 < stage.median_ms <= stage.p95_ms for stage in way.stages.values())
            assert way.total.median_ms > way.stages["network"].median_ms
        timing = result.timings[0]
        assert timing.ratio == timing.heatmaps.total.median_ms / timing.coordinates.total.median_ms
    assert found.detection.median_ms > 0
    assert 0 < found.capture.median_ms <= found.capture.p95_ms


def test_the_two_forms_stand_side_by_side_with_their_bytes(found: Record) -> None:
    assert [result.label for result in found.results] == [ONNX, SEED, NPU]
    assert [result.decode for result in found.results] == ["relative-threshold", "seed", "relative-threshold"]
    assert [result.bytes_out for result in found.results] == [5 * POINTS * 4, 2 * POINTS * 4, 5 * POINTS * 4]
    assert {result.heatmap_bytes for result in found.results} == {POINTS * CELLS * CELLS * 4}
    assert all(result.parity is not None for result in found.results)


def test_an_emulator_is_not_timed(found: Record) -> None:
    npu = found.results[2]
    assert npu.kind == EMULATED
    assert npu.timings == ()
    assert npu.engine.startswith("LiteRT")
    assert len(npu.landmarks) == POINTS


def test_the_seed_forms_coordinates_are_the_cpus_softargmax(found: Record) -> None:
    """The baseline against a decode that was written apart from it: the same beta, so the same landmarks."""
    assert found.results[1].difference["max_px"] < 1e-3


def test_landmarks_are_the_runtimes(found: Record, bundles: Mapping[str, Path], astronaut: NDArray[np.uint8]) -> None:
    for result, folder in zip(found.results, bundles.values(), strict=True):
        with FaceAligner(folder) as aligner:
            face = aligner.align(astronaut)[0]
        assert np.abs(np.array(result.landmarks) - face.landmarks).max() < 1e-3
        assert found.box == face.box


def test_threads_above_the_cores_are_reported(found: Record) -> None:
    assert found.threads == (1,)
    assert found.threads_refused == (4096,)


def test_the_record_survives_json(found: Record) -> None:
    assert Record.from_text(found.to_text()) == found


def test_bundles_of_one_name_are_told_apart(bundles: Mapping[str, Path], tmp_path: Path) -> None:
    twins = [tmp_path / "a" / "bundle", tmp_path / "b" / "bundle", tmp_path / "other"]
    assert label_folders(twins) == ["a/bundle", "b/bundle", "other"]
    assert label_folders([tmp_path / "x", tmp_path / "y" / "x" / ".." / "z"]) == ["x", "z"]


def test_a_bundle_given_twice_is_refused(bundles: Mapping[str, Path], astronaut: NDArray[np.uint8]) -> None:
    with pytest.raises(UserError, match="given twice"):
        bench([bundles[ONNX], bundles[ONNX] / ".." / ONNX], picture=astronaut)


def test_a_broken_bundle_is_refused(bundles: Mapping[str, Path], astronaut: NDArray[np.uint8], tmp_path: Path) -> None:
    broken = shutil.copytree(bundles[ONNX], tmp_path / "broken")
    model = next(broken.glob("*.onnx"))
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged"):
        bench([broken], picture=astronaut, runs=1)
    with pytest.raises(UserError, match=r"there is no manifest\.json"):
        bench([tmp_path], picture=astronaut, runs=1)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"placement": {"npu": 1}}, "manifest.placement has no field 'cpu'"),
        ({"estimate": {"kind": "guess", "total_ms": "fast"}}, "estimate.total_ms is not of type float"),
        ({"parity": {}}, "parity has no field 'max_abs'"),
    ],
)
def test_edited_figures_are_refused(
    change: dict[str, Any], why: str, bundles: Mapping[str, Path], astronaut: NDArray[np.uint8], tmp_path: Path
) -> None:
    edited = shutil.copytree(bundles[ONNX], tmp_path / "edited")
    manifest = edited / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(UserError, match="is damaged") as refused:
        bench([edited], picture=astronaut, runs=1)
    assert refused.value.why == why


def test_figures_of_an_int8_bundle_are_read(bundles: Mapping[str, Path], tmp_path: Path) -> None:
    """As quantize and a compiler write them, with entries that a record does not keep."""
    quantized = shutil.copytree(bundles[NPU], tmp_path / "int8")
    manifest = quantized / "manifest.json"
    figures = {
        "coordinate_shift": {"mean_px": 0.01, "max_px": 0.5, "faces": 38},
        "placement": {"npu": 9, "cpu": 1, "cpu_operators": ["SOFTMAX"], "reasons": []},
        "estimate": {"kind": ESTIMATED, "total_ms": 3.0, "body_ms": 2.5, "decode_ms": 0.5, "other": 1},
    }
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | figures))
    found = load_candidates([quantized])[0].figures
    assert found.coordinate_shift == Shift(0.01, 0.5, 38)
    assert found.placement == Placement(9, 1, ("SOFTMAX",))
    assert found.estimate == Estimate(ESTIMATED, 3.0, 2.5, 0.5)


def test_a_picture_without_a_face_is_refused(bundles: Mapping[str, Path]) -> None:
    with pytest.raises(UserError, match="finds no face"):
        bench([bundles[ONNX]], picture=np.full((120, 160, 3), 90, np.uint8), runs=1)


@pytest.mark.parametrize("threads", [(), (0, 1), (-1,), (4096,)])
def test_threads_that_cannot_be_had_are_refused(
    threads: tuple[int, ...], bundles: Mapping[str, Path], astronaut: NDArray[np.uint8]
) -> None:
    with pytest.raises(UserError, match=f"this machine has {usable_cores()} cores"):
        bench([bundles[ONNX]], picture=astronaut, threads=threads)


def test_nothing_to_measure_is_refused(astronaut: NDArray[np.uint8]) -> None:
    with pytest.raises(UserError, match="there is no bundle"):
        bench([], picture=astronaut)


class FivePoints(BoxPeer):
    """A network of somebody else: it says that the points are the box's corners and its middle."""

    name = "corners"

    def decode(self, outputs: NDArray[np.float32], back: object) -> NDArray[np.float32]:
        x0, y0, x1, y1 = outputs
        return np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1), ((x0 + x1) / 2, (y0 + y1) / 2)], np.float32)


def test_a_peer_is_timed_beside_the_bundles(bundles: Mapping[str, Path], astronaut: NDArray[np.uint8]) -> None:
    one = bench([bundles[ONNX]], picture=astronaut, threads=(1,), runs=3, warmup=1, peers=[FivePoints])
    (peer,) = one.peers
    assert (peer.name, len(peer.landmarks)) == ("corners", 5)
    assert [timing.threads for timing in peer.timings] == [1]
    assert list(peer.timings[0].times.stages) == ["prepare", "network", "decode"]
    assert peer.timings[0].times.total.median_ms > 0
    corner, _, _, other, _ = np.array(peer.landmarks)
    assert (corner < one.results[0].landmarks).all() or (corner < other).all()
    assert Record.from_text(one.to_text()) == one


def test_the_command_compares_with_an_earlier_run_and_fails_on_a_regression(
    bundles: Mapping[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Against a run that is said to have taken a thousandth of the time; and against one of another machine."""
    command = ["bench", str(bundles[ONNX]), "--report", str(tmp_path), "--runs", "3", "--threads", "1", "--json"]
    assert _npuface(*command) == 0
    capfd.readouterr()
    raw = json.loads((tmp_path / "report.json").read_text())
    total = raw["results"][0]["timings"][0]["coordinates"]["total"]
    raw["results"][0]["timings"][0]["coordinates"]["total"] = {key: value / 1000 for key, value in total.items()}
    raw["accuracy"] = {"data": "list.txt", "faces": 10, "points": 5, "nme": {ONNX: 0.05}}
    (tmp_path / "old.json").write_text(json.dumps(raw))
    assert _npuface(*command, "--compare", str(tmp_path / "old.json")) == 1
    said = json.loads(capfd.readouterr().out)
    assert said["nme_not_compared"].endswith("10 faces of list.txt, 5 points, now on no labelled faces")
    worse = {change["figure"] for change in said["comparison"] if change["verdict"] == "worse"}
    assert "coordinates, threads: 1, ms" in worse  # another figure may be, too: the machine's mood
    raw["machine"]["cpu"] = "another"
    (tmp_path / "old.json").write_text(json.dumps(raw))
    assert _npuface(*command, "--compare", str(tmp_path / "old.json")) == 2
    assert "measured on another" in json.loads(capfd.readouterr().out)["error"]["why"]
    assert _npuface(*command, "--compare", str(tmp_path / "none.json")) == 2


def _npuface(*arguments: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    return int(done.value.code or 0)
