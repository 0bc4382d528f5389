"""Energy counters as the kernel shows them, and the memory of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from npuface_benchmarks.energy import EnergyMeter
from npuface_benchmarks.memory import memory_of
from npuface_export.export import export_bundle
from npuface_export.target import target_by_name
from npuface_runtime.errors import UserError
from npuface_toolkit.student_network import student_network


def zone(root: Path, name: str, energy: int, counts: str = "package-0", span: int = 1_000_000) -> Path:
    (root / name).mkdir(parents=True)
    (root / name / "name").write_text(f"{counts}\n")
    (root / name / "energy_uj").write_text(f"{energy}\n")
    (root / name / "max_energy_range_uj").write_text(f"{span}\n")
    return root / name / "energy_uj"


def test_packages_add_up_parts_do_not_count_and_a_counter_may_run_over(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "intel-rapl:0", 100), zone(tmp_path, "intel-rapl:1", 999_000, "package-1")
    part = zone(tmp_path, "intel-rapl:0:0", 0, "core")
    meter = EnergyMeter(tmp_path)

    def work() -> None:
        first.write_text(str(int(first.read_text()) + 3000))
        second.write_text(str((int(second.read_text()) + 1000) % 1_000_000))
        part.write_text("777777")

    assert meter.reason is None
    assert meter.millijoules(work, 5) == pytest.approx(4.0)


def test_the_counter_of_the_platform_has_the_packages_in_it_and_does_not_count(tmp_path: Path) -> None:
    package, platform = zone(tmp_path, "intel-rapl:0", 0), zone(tmp_path, "intel-rapl:1", 0, "psys")
    meter = EnergyMeter(tmp_path)

    def work() -> None:
        package.write_text("1000")
        platform.write_text("1200")

    assert meter.millijoules(work, 1) == pytest.approx(1.0)
    package.unlink()
    assert "intel-rapl:0 cannot be read" in (EnergyMeter(tmp_path).reason or "")


def test_the_platform_alone_is_no_counter(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", 0, "psys")
    assert "no energy counter of a processor package" in (EnergyMeter(tmp_path).reason or "")


def test_without_a_counter_it_says_why(tmp_path: Path) -> None:
    meter = EnergyMeter(tmp_path)
    assert "no energy counter" in (meter.reason or "")
    assert meter.millijoules(lambda: None, 1) is None
    zone(tmp_path, "intel-rapl:0", 1).write_text("broken")
    assert "cannot be read" in (EnergyMeter(tmp_path).reason or "")


def test_a_bundle_takes_more_than_the_runtime_alone(tmp_path: Path) -> None:
    export_bundle(student_network("student-68"), target_by_name("onnxruntime-cpu"), tmp_path / "bundle")
    memory = memory_of(tmp_path / "bundle")
    assert memory is not None
    assert 10 < memory.empty_mib < memory.peak_mib < 2000
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="cannot measure the memory"):
        memory_of(tmp_path / "bundle")
