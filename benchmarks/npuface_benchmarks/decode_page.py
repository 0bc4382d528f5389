"""The measured decode forms as Markdown tables, and the page that shows them between its markers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from npuface_benchmarks.decode_table import FormFigures, NetworkFigures, SceneFigures
from npuface_benchmarks.plain_record import plain_bytes, read_plain
from npuface_runtime.errors import UserError

FILE_NAME = "decode.json"
_BEGIN, _END = "<!-- measured: npuface forms --measure -->", "<!-- /measured -->"
_ERROR_SCENES = ("full", "low", "second", "wide", "low and wide")
_CONFIDENCE_SCENES = ("full", "low", "second", "none")


@dataclass(frozen=True)
class DecodeRecord:
    """What `npuface forms --measure` measured: the forms' figures, and the versions of what computed them."""

    forms: tuple[FormFigures, ...]
    tools: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def read_record(path: Path) -> DecodeRecord:
    """Read what was measured.

    Raises:
        UserError: the file is missing or holds something else.
    """
    return read_plain(DecodeRecord, path, "record", "npuface forms --measure")


def record_bytes(record: DecodeRecord) -> bytes:
    """The record as its file holds it."""
    return plain_bytes(record.as_json())


def markdown(record: DecodeRecord) -> str:
    """Tables of cost, of errors on synthetic maps, of confidence, and of each network."""
    forms = record.forms
    networks = list(dict.fromkeys(name for form in forms for name in form.networks))
    parts = [_cost_table(forms), _scene_table(forms), _confidence_table(forms)]
    parts += [_network_table(name, [form for form in forms if name in form.networks]) for name in networks]
    tools = ", ".join(f"{name} {version}" for name, version in record.tools.items())
    simulated = [f"INT8 of {form.form} is {form.int8}." for form in forms if form.int8 != "LiteRT"]
    return "\n\n".join([*parts, *simulated, f"Measured with {tools}."])


def _cost_table(forms: Sequence[FormFigures]) -> str:
    targets = list(dict.fromkeys(name for form in forms for name in form.extra_ms))
    rows = [
        (form.form, f"{form.bytes_out:,}", *(_number(form.extra_ms.get(name), "+.2f") for name in targets))
        for form in forms
    ]
    title = "Bytes that leave for 98 landmarks on 64 x 64 cells"
    if targets:
        title += "; ms that the decode adds behind the network measured below, by the compiler's estimate"
    return _table(title, ("form", "bytes out", *targets), rows)


def _scene_table(forms: Sequence[FormFigures]) -> str:
    def cells(form: FormFigures) -> tuple[str, ...]:
        figures = (form.scenes[name] for name in _ERROR_SCENES)
        return form.form, f"{form.float_error:.0e}", *(_scene_cell(one) for one in figures)

    title = "Synthetic maps, heatmap px: mean distance from the true peak in float / in INT8; INT8 against float, mean"
    return _table(title, ("form", "float32 error, largest", *_ERROR_SCENES), [cells(form) for form in forms])


def _scene_cell(figures: SceneFigures) -> str:
    return f"{figures.float_truth:.2f} / {figures.int8_truth:.2f}; {figures.int8_mean:.3f}"


def _confidence_table(forms: Sequence[FormFigures]) -> str:
    rows = [
        (form.form, *(f"{form.scenes[name].confidence or 0:.2f}" for name in _CONFIDENCE_SCENES))
        for form in forms
        if form.scenes["full"].confidence is not None
    ]
    return _table("Mean confidence on synthetic maps, INT8", ("form", *_CONFIDENCE_SCENES), rows)


def _network_table(name: str, forms: Sequence[FormFigures]) -> str:
    columns: list[tuple[str, Callable[[NetworkFigures], str]]] = [
        ("against its own decode, float", lambda f: _number(f.float_mean, ".3f")),
        ("INT8 against float, mean / max", lambda f: f"{f.int8_mean:.3f} / {f.int8_max:.2f}"),
        (
            "from the labels, float / INT8",
            lambda f: f"{_number(f.truth_float, '.2f')} / {_number(f.truth_int8, '.2f')}",
        ),
        ("confidence tells the worst tenth", lambda f: _number(f.separation, ".2f")),
    ]
    if all(form.networks[name].truth_float is None for form in forms):
        columns = columns[:2]
    rows = [(form.form, *(cell(form.networks[name]) for _, cell in columns)) for form in forms]
    faces = forms[0].networks[name].faces
    return _table(f"{name}, {faces} faces, heatmap px", ("form", *(title for title, _ in columns)), rows)


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (columns, ("---", *["---:"] * (len(columns) - 1)), *rows)
    return f"**{title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_tables(page: str, record: DecodeRecord) -> str:
    """The page with the tables between its markers.

    Raises:
        UserError: it has no such markers.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise UserError("cannot write the tables", f"the page has no {_BEGIN} ... {_END}", "put the markers back")
    return f"{before}{_BEGIN}\n{markdown(record)}\n{_END}{after}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m npuface_benchmarks.decode_page FILE")
    file = Path(sys.argv[1])
    file.write_text(
        with_tables(file.read_text(encoding="utf-8"), read_record(file.parent / FILE_NAME)), encoding="utf-8"
    )
