"""`npuface label-shift`: labels that all lie beside what they label, found and moved back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from npuface_toolkit.cli.console import JsonOption, output, table

if TYPE_CHECKING:
    from npuface_toolkit.label_shift import Residuals, Shift


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(label_shift)


def label_shift(
    data: Annotated[
        list[str], typer.Option("--data", help="points:FILE[:PICTURES_DIR], FILE a CSV of labels. Repeatable.")
    ],
    by: Annotated[
        str,
        typer.Option("--by", help="Who is asked: NAME[:TRUST[:POINTS]], a peer's TOML or a checkpoint, as for label."),
    ],
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

    One shift for all --data: pixels, and a share of the distance of the outer eye corners.

    Example: npuface label-shift --data points:labels.csv:pictures --by openseeface.toml:1:17-67 --out straight
    """
    from npuface_benchmarks.files import write_all
    from npuface_runtime.errors import UserError
    from npuface_toolkit.faces import split_by_identity
    from npuface_toolkit.label_folder import open_sources
    from npuface_toolkit.label_shift import check_kept, fit_shift, moved_back, open_labels, residuals

    with output(as_json, "asking") as result:
        labels, scheme = open_labels(data)
        if out is not None:
            check_kept(labels, out)
        (source,), asked = open_sources([by], "cannot find the shift")
        if asked != scheme:
            why = f"it has {asked.name} landmarks, the data {scheme.name}"
            raise UserError(f"cannot ask {by}", why, "name a network of the data's scheme")
        faces = [face for file in labels for face in file.faces]
        parts = split_by_identity(faces, held_out)
        if not parts[1]:
            raise UserError(
                "nothing to show the shift on", "nobody is held out", "give more identities or a larger share"
            )
        seen, unseen = (residuals(part, source, scheme) for part in parts)
        shift = fit_shift(seen)
        if out is not None:
            write_all(out, {file.file.name: moved_back(file, scheme, shift).encode() for file in labels})
        facts = _facts(shift, seen, unseen)
        compared = [(f"{facts['before']:.2%}", f"{facts['after']:.2%}", facts["faces"])]
        result.result(
            facts | ({"folder": str(out)} if out else {}),
            _by_size(shift, seen),
            table(f"labels beside {source.network.name}", ("NME as they are", "moved back", "faces"), compared),
        )


def _by_size(shift: Shift, seen: Residuals) -> Table:
    import numpy as np

    sizes = np.percentile(seen.eyes, (10, 50, 90))
    rows = [(round(float(eyes)), f"{x:+.2f}", f"{y:+.2f}") for eyes, (x, y) in zip(sizes, shift.at(sizes), strict=True)]
    columns = ("eye corners apart, px", "labels lie to the right, px", "below, px")
    return table(f"fitted to {len(seen.eyes)} faces", columns, rows)


def _facts(shift: Shift, seen: Residuals, unseen: Residuals) -> dict[str, Any]:
    return {
        "pixels": list(shift.pixels),
        "share": list(shift.share),
        "fitted_faces": len(seen.eyes),
        "before": unseen.nme(),
        "after": unseen.nme(shift),
        "faces": len(unseen.eyes),
    }
