"""Label a folder of pictures; see labelling."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from npuface_runtime.detectors import Detector
from npuface_runtime.errors import UserError
from npuface_toolkit.faces import read_picture
from npuface_toolkit.labelling import Checkpoint, Network, Source, find_faces, label_face
from npuface_toolkit.peers import Peer
from npuface_toolkit.schemes import Scheme, point_ranges

_log = logging.getLogger("npuface.label")
_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def open_sources(named: Sequence[str], what: str = "cannot label") -> tuple[list[Source], Scheme]:
    """`student-68`, `student-68:0.3`, `openseeface.toml:1:17-67`: networks, how far they are trusted, and which of
    their points become labels; and the scheme that they share.

    Raises:
        UserError: one cannot be opened, a trust is no number from 0 to 1, points are none, or the schemes differ.
    """
    sources = [_open(text, what) for text in named]
    schemes = {source.network.scheme.name: source.network.scheme for source in sources}
    if len(schemes) != 1:
        raise UserError(what, f"the networks have the schemes {', '.join(schemes)}", "name networks of one scheme")
    return sources, next(iter(schemes.values()))


def _open(text: str, what: str) -> Source:
    what = f"{what} with {text}"
    name, _, rest = text.partition(":")
    trust, _, points = rest.partition(":")
    try:
        value, taken = float(trust or 1), point_ranges(points) if points else None
    except ValueError as error:
        raise UserError(what, str(error), "write NAME:0.3, or NAME:1:17-67, for instance") from None
    if not 0 <= value <= 1:
        raise UserError(what, f"{trust} is no trust from 0 to 1", "write NAME:0.3 for instance")
    network: Network = Peer(name) if name.endswith(".toml") else Checkpoint(name)
    if taken and max(taken) >= network.scheme.points:
        why = f"{network.scheme.name} has {network.scheme.points} points, the first of them 0"
        raise UserError(what, why, "name points of the scheme")
    return Source(network, value, taken)


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder and in the folders in it, in the order of their names, each read once.

    Raises:
        UserError: there are none, one cannot be read, or has a name that cannot be written to a CSV.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
    if not files:
        raise UserError(f"cannot label {folder}", "there are no pictures in it", "name a folder with JPEGs or PNGs")
    for file in files:  # one of them would end the run after hours
        read_picture(file)
        if not str(file.relative_to(folder)).isprintable():
            raise UserError(f"cannot label {folder}", f"the name {file.name!r} is no text", "rename the picture")
    return files


def check_corners(sources: Sequence[Source], scheme: Scheme) -> None:
    """Refuse a network without the outer eye corners: how far its answers lie apart is said by their distance.

    Raises:
        UserError: one lacks them.
    """
    for source in sources:
        if not set(scheme.eye_corners) <= set(source.network.ours):
            why = "it does not give the outer eye corners, whose distance says how sure it is"
            raise UserError(f"cannot label with {source.network.name}", why, "name a network that gives them")


def label_folder(
    folder: Path, sources: Sequence[Source], scheme: Scheme, detector: Detector, least: float
) -> tuple[str, dict[str, int]]:
    """The faces in a folder's pictures, as the text of a `weighted` CSV with names relative to it, and the counts.

    Raises:
        UserError: see check_corners and picture_files; or nobody was labelled.
    """
    check_corners(sources, scheme)
    files = picture_files(folder)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    found = labelled = 0
    began = time.monotonic()
    for number, file in enumerate(files, start=1):
        picture = read_picture(file)
        for box in find_faces(picture, detector, least):
            found += 1
            label = label_face(picture, box, sources, scheme)
            if label is not None:
                labelled += 1
                rows.writerow([file.relative_to(folder).as_posix(), *(f"{value:.2f}" for value in label.ravel())])
        if number % 50 == 0:
            left = (time.monotonic() - began) / number * (len(files) - number) / 60
            _log.info("%d of %d pictures, %d faces labelled, %.0f min left", number, len(files), labelled, left)
    if not labelled:
        raise UserError(
            f"cannot label {folder}", f"of {found} faces found none was sure", "give larger or clearer pictures"
        )
    return text.getvalue(), {"pictures": len(files), "found": found, "labelled": labelled}
