"""A bundle that is to be measured, and the names by which several are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from npuface_export.converters import ModelFiles, converter_by_name
from npuface_export.target import Target, target_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest


@dataclass(frozen=True)
class Candidate:
    """A bundle that is to be measured.

    Attributes:
        label: tells it from the others.
        folder: where it lies.
        manifest: its own.
        target: what it was built for.
    """

    label: str
    folder: Path
    manifest: Manifest
    target: Target

    @property
    def heatmap(self) -> tuple[int, int, int]:
        """K, H, W of its heatmaps."""
        maps = self.manifest.heatmap
        return self.manifest.landmarks.points, maps.height, maps.width

    def cut(self, folder: Path) -> ModelFiles:
        """Write the same network, ending at its heatmaps, into a folder.

        Raises:
            UserError: the bundle's model is damaged or has no heatmaps in it.
        """
        converter = converter_by_name(self.target.converter)
        roles = [role for role in ("model", "weights") if role in self.manifest.files]
        files = {role: self.manifest.file(self.folder, role) for role in roles}
        return converter.cut(converter.describe(files, self.heatmap), folder)


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
        candidates.append(Candidate(label, Path(folder), manifest, target_by_name(manifest.target)))
    return candidates


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
