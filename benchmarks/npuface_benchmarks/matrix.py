"""The compatibility matrix: what becomes of each network on each target, by the targets' own tools."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npuface_benchmarks.candidate import known_part
from npuface_benchmarks.record import Estimate
from npuface_export.calibration import CalibrationFaces, calibration_faces
from npuface_export.choose import choose_form
from npuface_export.compile import check_compiler, compile_bundle, oracle_refusal
from npuface_export.converters import target_recipe
from npuface_export.export import export_bundle, face_heatmaps
from npuface_export.network import Network
from npuface_export.quantize import quantize_bundle
from npuface_export.target import Target
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest

_log = logging.getLogger("npuface.matrix")


@dataclass(frozen=True)
class Cell:
    """One network on one target.

    Attributes:
        model, target: their names.
        refused: why there is no bundle; None where there is one.
        form: the decode form that was chosen.
        precision: of the bundle.
        is_npu: False for a CPU or GPU engine, whose placement and estimate say nothing.
        npu, cpu: operators; None where the vendor's tool does not tell.
        cpu_operators: kinds of operators on the CPU, each with its count and reason.
        shift_px, shift_max_px, faces: how far quantization moves landmarks, in heatmap px, on how many faces.
        oracle: what computed that.
        estimate: the vendor's figures; None where it gives none.
        note: what the target says of itself.
        contradicted: why the vendor's emulator says that the NPU computes something else; None if it does not.
    """

    model: str
    target: str
    refused: str | None = None
    form: str | None = None
    precision: str | None = None
    is_npu: bool = True
    npu: int | None = None
    cpu: int | None = None
    cpu_operators: tuple[str, ...] = ()
    shift_px: float | None = None
    shift_max_px: float | None = None
    faces: int | None = None
    oracle: str | None = None
    estimate: Estimate | None = None
    note: str | None = None
    contradicted: str | None = None


@dataclass(frozen=True)
class Matrix:
    """All cells, what the networks are, and the versions of what computed them."""

    cells: tuple[Cell, ...]
    models: Mapping[str, str]
    tools: Mapping[str, str]


def merged(old: Matrix, new: Matrix) -> Matrix:
    """A record in which what was measured anew takes the place of what was measured before; new cells come last."""
    fresh = {(cell.model, cell.target): cell for cell in new.cells}
    kept = tuple(fresh.pop((cell.model, cell.target), cell) for cell in old.cells)
    return Matrix((*kept, *fresh.values()), {**old.models, **new.models}, {**old.tools, **new.tools})


def measure_matrix(
    networks: Sequence[Network], targets: Sequence[Target], calibration: Path, folder: Path
) -> Iterator[tuple[Cell, Mapping[str, str]]]:
    """Every network on every target, with the versions of the tools that made it.

    A network is exported and quantized once for all targets that share converter, decode form and types, and compiled
    for each.

    Args:
        networks, targets: rows and columns.
        calibration: a folder of pictures with faces (see calibration_faces).
        folder: for the bundles.
    """
    for network in networks:
        faces = calibration_faces(calibration, network.input_shape, network.margin)
        column = _Column(network, faces, folder / network.name)
        for target in targets:
            _log.info("%s on %s", network.name, target.name)
            try:
                manifest = column.bundle(target)
            except UserError as error:
                yield Cell(network.name, target.name, placeless(error.why), is_npu=target.is_npu, note=target.note), {}
            else:
                yield _cell(network.name, target, manifest), manifest.tools


def placeless(text: str) -> str:
    """A vendor's message without the folders of the machine that it was written on."""
    return re.sub(r"(?<![\w.:/])/(?:[^\s/:\"']+/)+", "", text)


class _Column:
    """One network's bundles."""

    def __init__(self, network: Network, faces: CalibrationFaces, folder: Path) -> None:
        self._network, self._faces, self._folder = network, faces, folder
        self._heatmaps = face_heatmaps(network)
        self._made: dict[tuple[str, ...], Path] = {}

    def bundle(self, target: Target) -> Manifest:
        """The manifest of the network's bundle for a target. Raises UserError where there can be none."""
        check_compiler(target)
        form = choose_form(self._network, target, self._heatmaps).form.name
        bundle = self._folder / target.name
        key = (target.compiler or target.name, form, target_recipe(target).decode, *target.precisions)
        if key in self._made:
            return compile_bundle(self._made[key], bundle, target=target, pictures=self._faces.plain)
        manifest = export_bundle(self._network, target, bundle, form=form)
        if "int8" in target.precisions:
            manifest = quantize_bundle(bundle, self._faces)
        elif target.compiler is not None:
            manifest = compile_bundle(bundle)
        self._made[key] = bundle
        return manifest


def _cell(model: str, target: Target, manifest: Manifest) -> Cell:
    placement: Mapping[str, Any] = manifest.placement if manifest.placement and target.is_npu else {}
    shift: Mapping[str, Any] = manifest.coordinate_shift or {}
    return Cell(
        model=model,
        target=target.name,
        form=manifest.decode.form,
        precision=manifest.precision,
        is_npu=target.is_npu,
        npu=placement.get("npu"),
        cpu=placement.get("cpu"),
        cpu_operators=tuple(
            f"{entry['count']} {entry['operator']}: {entry['reason'] or 'no reason given'}"
            for entry in placement.get("reasons", ())
        ),
        shift_px=shift.get("mean_px"),
        shift_max_px=shift.get("max_px"),
        faces=shift.get("faces"),
        oracle=shift.get("oracle"),
        estimate=known_part(Estimate, manifest.estimate, "estimate"),
        note=target.note,
        contradicted=oracle_refusal(manifest),
    )
