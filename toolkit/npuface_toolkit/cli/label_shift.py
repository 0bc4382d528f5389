"""`npuface label-shift`: labels that all lie beside what they label, found and moved back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from npuface_toolkit.cli.console import JsonOption, output, table

if TYPE_CHECKING:
    from npuface_toolkit.faces import Face
    from npuface_toolkit.label_shift import Residuals, Shift
    from npuface_toolkit.mirror_axis import MirrorShift
    from npuface_toolkit.schemes import Scheme

Found = tuple["Shift", dict[str, Any], list[Table]]
"""A shift, the facts about it, and how they are shown."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(label_shift)


def label_shift(
    data: Annotated[
        list[str], typer.Option("--data", help="points:FILE[:PICTURES_DIR], FILE a CSV of labels. Repeatable.")
    ],
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="Who is asked: NAME[:TRUST[:POINTS]], a peer's TOML or a checkpoint, as for label. Without it the "
            "mirror axes of faces seen from the front tell x closely, and y coarsely.",
        ),
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(
            "--held-out",
            min=0.01,
            max=0.9,
            help="Share of the identities that the shift is shown on, and not fitted to.",
        ),
    ] = 0.2,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the labels moved back, in points CSVs with the names of those given."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find how far labels as a whole lie right of and below what a network sees, and move them back.

    One shift for all --data: pixels, and a share of the distance of the outer eye corners. Beside it stands what the
    mirror axes of faces seen from the front say without a network.

    Example: npuface label-shift --data points:labels.csv:pictures --by openseeface.toml:1:17-67 --out straight
    """
    from npuface_benchmarks.files import write_all
    from npuface_runtime.errors import UserError
    from npuface_toolkit.faces import split_by_identity
    from npuface_toolkit.label_shift import check_kept, moved_back, open_labels

    with output(as_json, "asking" if by else "mirroring") as result:
        labels, scheme = open_labels(data)
        if out is not None:
            check_kept(labels, out)
        parts = split_by_identity([face for file in labels for face in file.faces], held_out)
        if not parts[1]:
            raise UserError(
                "nothing to show the shift on", "nobody is held out", "give more identities or a larger share"
            )
        shift, facts, tables = _by_network(by, parts, scheme) if by else _by_mirror_axes(parts, scheme)
        if out is not None:
            write_all(out, {file.file.name: moved_back(file, scheme, shift).encode() for file in labels})
        result.result(facts | ({"folder": str(out)} if out else {}), *tables)


def _by_network(by: str, parts: tuple[list[Face], list[Face]], scheme: Scheme) -> Found:
    from npuface_runtime.errors import UserError
    from npuface_toolkit.label_folder import open_sources
    from npuface_toolkit.label_shift import fit_shift, residuals
    from npuface_toolkit.mirror_axis import mirror_shift

    (source,), asked = open_sources([by], "cannot find the shift")
    if asked != scheme:
        why = f"it has {asked.name} landmarks, the data {scheme.name}"
        raise UserError(f"cannot ask {by}", why, "name a network of the data's scheme")
    seen, unseen = (residuals(part, source, scheme) for part in parts)
    shift, mirror = fit_shift(seen), mirror_shift(parts[0], scheme)
    facts = {
        "pixels": list(shift.pixels),
        "share": list(shift.share),
        "fitted_faces": len(seen.eyes),
        "before": unseen.nme(),
        "after": unseen.nme(shift),
        "faces": len(unseen.eyes),
        "mirror": mirror and asdict(mirror),
    }
    name = source.network.name
    compared = [(f"{facts['before']:.2%}", f"{facts['after']:.2%}", facts["faces"])]
    tables = [
        _by_size(name, shift, seen),
        *([_of_mirror_axes([("the same people", mirror)])] if mirror else []),
        table(f"labels beside {name}, people held out", ("NME as they are", "moved back", "faces"), compared),
    ]
    return shift, facts, tables


def _by_mirror_axes(parts: tuple[list[Face], list[Face]], scheme: Scheme) -> Found:
    from npuface_runtime.errors import UserError
    from npuface_toolkit.label_shift import Shift
    from npuface_toolkit.mirror_axis import mirror_shift

    seen, unseen = (mirror_shift(part, scheme) for part in parts)
    if seen is None:
        why = "too few faces are seen from the front to tell it by their mirror axes"
        raise UserError(
            "cannot find how far the labels are shifted", why, "name a network with --by, or give more faces"
        )
    facts = {
        "pixels": [0.0, 0.0],
        "share": list(seen.share),
        "fitted_faces": seen.faces,
        "mirror": asdict(seen),
        "mirror_held_out": unseen and asdict(unseen),
    }
    rows = [("fitted", seen), *([("held out", unseen)] if unseen else [])]
    return Shift((0.0, 0.0), seen.share), facts, [_of_mirror_axes(rows)]


def _by_size(network: str, shift: Shift, seen: Residuals) -> Table:
    import numpy as np

    sizes = np.percentile(seen.eyes, (10, 50, 90))
    rows = [
        (round(float(eyes)), f"{x:+.2f}", f"{x / eyes:+.2%}", f"{y:+.2f}", f"{y / eyes:+.2%}")
        for eyes, (x, y) in zip(sizes, shift.at(sizes), strict=True)
    ]
    columns = ("eye corners apart, px", "labels lie to the right, px", "of that", "below, px", "of that")
    return table(f"labels beside {network}, fitted to {len(seen.eyes)} faces", columns, rows)


def _of_mirror_axes(rows: Sequence[tuple[str, MirrorShift]]) -> Table:
    shown = [
        (who, *(f"{v:+.2%} ± {off:.2%}" for v, off in zip(found.share, found.deviation, strict=True)), found.faces)
        for who, found in rows
    ]
    columns = ("people", "labels lie to the right, of the eye corners' distance", "below", "faces from the front")
    return table("labels beside the faces' mirror axes, without a network", columns, shown)
