"""What a trial measures of one network: NME in float and in INT8, on real engines, on people it never saw."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from npuface_export.converters.recipe import Recipe
from npuface_export.decode import form_by_name
from npuface_export.export import export_bundle
from npuface_export.quantize import quantize_bundle
from npuface_export.target import target_by_name
from npuface_runtime.errors import UserError
from npuface_toolkit import evaluate
from npuface_toolkit.faces import Face, check_by_people, fingerprint, split_by_identity
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.student_network import student_network
from npuface_toolkit.training_run import read_sources

_TARGET = "litert-cpu"
"""Its INT8 kernels are also the oracle for the Ethos-U NPUs."""
_CALIBRATION = 90


@dataclass(frozen=True)
class TrialFaces:
    """Whom a trial measures on.

    Attributes:
        scheme: of every face.
        measured: faces by the name of their set.
        without_jaw: names of the sets on which the face contour is left out.
        calibration: faces of training people, whose pictures calibrate.
    """

    scheme: Scheme
    measured: Mapping[str, Sequence[Face]]
    without_jaw: frozenset[str]
    calibration: Sequence[Face]

    @property
    def fingerprint(self) -> str:
        """What tells them from other faces."""
        sets = {**self.measured, "calibration": self.calibration}
        return " ".join(f"{name} {fingerprint(faces)}" for name, faces in sets.items())

    def points(self, name: str) -> tuple[int, ...] | None:
        """The landmarks that count on a set; None for all."""
        if name not in self.without_jaw:
            return None
        return tuple(p for p in range(self.scheme.points) if p not in self.scheme.jaw)


def trial_faces(sources: Sequence[str], also: Sequence[str], held_out: float) -> TrialFaces:
    """The faces of a trial: people held out of `sources`, and every face of `also`, with and without the face contour.

    Raises:
        UserError: a source cannot be read, the landmark schemes differ, two of `also` have one name, or one of them has
            labels by networks or a picture that is trained on.
    """
    faces, scheme = read_sources(sources)
    training, unseen = split_by_identity(faces, held_out)
    known = {face.picture.resolve() for face in training}
    measured: dict[str, Sequence[Face]] = {"held out": unseen}
    without_jaw: set[str] = set()
    for source in also:
        more, other = read_sources([source])
        if other.name != scheme.name:
            raise UserError(f"cannot measure on {source}", f"it has {other.name} landmarks", f"give {scheme.name} data")
        name = Path(source.split(":")[1]).stem
        what = f"cannot measure on {source}"
        if name in measured:
            raise UserError(what, f"another set is called {name} as well", "rename one of the files")
        if any(face.picture.resolve() in known for face in more):
            raise UserError(what, "pictures of it are trained on", "give faces that no training sees")
        check_by_people(more, what)
        measured |= {name: more, f"{name} without jaw": more}
        without_jaw.add(f"{name} without jaw")
    return TrialFaces(scheme, measured, frozenset(without_jaw), training)


@dataclass(frozen=True)
class Measured:
    """Figures of one network in one decode form, by set: NME as a fraction; the mean INT8 shift in heatmap cells."""

    float_nme: Mapping[str, float]
    int8_nme: Mapping[str, float]
    shift: float


def _recipe(form: str) -> Recipe | None:
    """The target's safe recipe; INT8 throughout for a form whose coordinates come from the network itself."""
    return Recipe(decode="int8") if form_by_name(form).finish == "coordinates" else None


def nme_by_set(model: str, faces: TrialFaces) -> dict[str, float]:
    """NME, as a fraction, of a checkpoint or a bundle on every set; it sees the faces of several sets once."""
    whole = tuple(range(faces.scheme.points))
    different = {id(chosen): chosen for chosen in faces.measured.values()}
    said = {key: evaluate.predict(model, chosen, faces.scheme) for key, chosen in different.items()}
    return {
        name: evaluate.measure(said[id(chosen)], chosen, faces.scheme, faces.points(name) or whole).overall.nme
        for name, chosen in faces.measured.items()
    }


def measure(checkpoint: Path, form: str, faces: TrialFaces) -> Measured:
    """Export a checkpoint with a decode form to LiteRT, quantize it, and run both bundles on every set."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = folder / "pictures"
        pictures.mkdir()
        for number, face in enumerate(faces.calibration[:: max(1, len(faces.calibration) // _CALIBRATION)]):
            (pictures / f"{number:05}{face.picture.suffix}").symlink_to(face.picture.resolve())
        exact, quantized = folder / "exact", folder / "quantized"
        export_bundle(student_network(str(checkpoint)), target_by_name(_TARGET), exact, form=form)
        manifest = quantize_bundle(exact, pictures, quantized, recipe=_recipe(form))
        shift = manifest.coordinate_shift or {}
        return Measured(nme_by_set(str(exact), faces), nme_by_set(str(quantized), faces), float(shift["mean_px"]))
