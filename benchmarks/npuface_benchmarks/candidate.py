"""A bundle that is to be measured, and the names by which several are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from npuface_benchmarks.record import Estimate, Figures, Parity, Placement, Shift
from npuface_export.converters import ModelFiles, converter_by_name
from npuface_export.decode import HeatmapSpec
from npuface_export.target import Target, target_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest
from npuface_runtime.plain import build


@dataclass(frozen=True)
class Candidate:
    """A bundle that is to be measured.

    Attributes:
        label: tells it from the others.
        folder: where it lies.
        manifest: its own.
        target: what it was built for.
        figures: what its manifest says of it, checked.
    """

    label: str
    folder: Path
    manifest: Manifest
    target: Target
    figures: Figures

    @property
    def heatmap(self) -> tuple[int, int, int]:
        """K, H, W of its heatmaps."""
        maps = self.manifest.heatmap
        return self.manifest.landmarks.points, maps.height, maps.width

    @property
    def _spec(self) -> HeatmapSpec:
        points, height, width = self.heatmap
        return HeatmapSpec(points, height, width, kind=self.manifest.heatmap.kind)

    def cut(self, folder: Path) -> ModelFiles:
        """Write the same network, ending at its heatmaps, into a folder.

        Raises:
            UserError: the bundle's model is damaged or has no heatmaps in it.
        """
        converter = converter_by_name(self.target.converter)
        roles = [role for role in ("model", "weights") if role in self.manifest.files]
        files = {role: self.manifest.file(self.folder, role) for role in roles}
        return converter.cut(converter.describe(files, self._spec.input_shape[1:]), folder)


def load_candidates(bundles: Sequence[str | Path]) -> list[Candidate]:
    """Read bundles.

    Raises:
        UserError: there is none, one is damaged or given twice, or its target is unknown.
    """
    if not bundles:
        raise UserError("nothing to measure", "there is no bundle", "give at least one bundle folder")
    candidates = []
    for label, folder in zip(label_folders(bundles), bundles, strict=True):
        manifest = Manifest.load(folder)
        target, figures = target_by_name(manifest.target), _figures(manifest, folder)
        candidates.append(Candidate(label, Path(folder), manifest, target, figures))
    return candidates


def _figures(manifest: Manifest, folder: str | Path) -> Figures:
    """The manifest's figures; it keeps them as plain data, which anyone may have edited."""
    try:
        return Figures(
            known_part(Placement, manifest.placement, "placement"),
            known_part(Parity, manifest.parity, "parity"),
            known_part(Shift, manifest.coordinate_shift, "coordinate_shift"),
            known_part(Estimate, manifest.estimate, "estimate"),
        )
    except ValueError as error:
        raise UserError(f"the bundle {folder} is damaged", str(error), "export it again or copy it again") from None


def known_part(kind: Any, raw: Mapping[str, Any] | None, where: str) -> Any:
    """Those entries that the dataclass `kind` has, checked. Raises ValueError."""
    if raw is None:
        return None
    names = {field.name for field in fields(kind)}
    return build(kind, {key: value for key, value in raw.items() if key in names}, where)


def label_folders(folders: Sequence[str | Path]) -> list[str]:
    """For each folder its name, or the shortest end of its path that no other one has.

    Raises:
        UserError: a folder is given twice.
    """
    paths = [Path(folder).resolve() for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"cannot compare the bundle {path}", "it is given twice", "give every bundle once")
    return [_shortest_own_end(path, [other for other in paths if other != path]) for path in paths]


def _shortest_own_end(path: Path, others: Sequence[Path]) -> str:
    ends = (path.parts[-length:] for length in range(1, len(path.parts) + 1))
    own = next(end for end in ends if all(other.parts[-len(end) :] != end for other in others))
    return str(Path(*own))
