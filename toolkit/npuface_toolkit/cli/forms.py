"""`npuface forms`: the decode forms, and what each costs and loses."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from npuface_runtime.errors import UserError
from npuface_toolkit.cli.console import JsonOption, given_options, output, table

if TYPE_CHECKING:
    from npuface_export.decode import DecodeForm


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(forms)


def forms(
    measure: Annotated[bool, typer.Option("--measure", help="Measure them: some minutes a form.")] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="With --measure: a checkpoint, a shipped student (student-68 without this option), or a TOML file "
            "with model = FILE.onnx and the options of npuface export. Repeatable.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="With --measure: faces, FORMAT:FILE[:PICTURES_DIR]; else one photograph."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="With --measure: let its compiler estimate the cost. Repeatable."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--form", help="Only this form. Repeatable.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="With --measure: write decode.json here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the decode forms, or measure them.

    Example: npuface forms --measure --target ethos-u55-128 --out docs
    """
    from npuface_export.decode import FORMS, form_by_name

    ignored = given_options({"model": model, "data": data, "target": target, "out": out})
    if ignored and not measure:
        raise UserError("cannot list the decode forms like that", f"{ignored} would be ignored", "add --measure")
    with output(as_json, "measuring" if measure else "reading") as result:
        chosen = [form_by_name(name) for name in only] if only else list(FORMS.values())
        if measure:
            record, shown = _measured(chosen, model or ["student-68"], data or [], target or [], out)
            result.result(record, shown)
        else:
            rows = [_described(form) for form in chosen]
            columns = ("form", "what it does", "operators", "bytes out", "host half")
            result.result({"forms": rows}, table("Decode forms, 98 landmarks on 64 x 64", columns, [*map(_row, rows)]))


def _described(form: DecodeForm) -> dict[str, Any]:
    from npuface_export.choose import form_bytes_out
    from npuface_export.decode import HeatmapSpec
    from npuface_runtime.host_halves import HOST_HALVES

    spec = HeatmapSpec(98, 64, 64, kind=form.kinds[0])
    half = inspect.getdoc(HOST_HALVES[form.finish].run) or ""
    needs = [
        {"operator": need.operator, "kernel": need.kernel, "stride": need.stride, "work": need.work}
        for need in form.needs(spec)
    ]
    return {
        "name": form.name,
        "summary": form.summary,
        "kinds": list(form.kinds),
        "needs": needs,
        "bytes_out": form_bytes_out(form, spec),
        "finish": form.finish,
        "leaves": half.split("\n\n")[0].replace("\n", " "),
    }


def _row(form: dict[str, Any]) -> tuple[str, ...]:
    operators = dict.fromkeys(need["operator"] for need in form["needs"])
    return form["name"], form["summary"], ", ".join(operators) or "none", f"{form['bytes_out']:,}", form["finish"]


def _measured(
    chosen: list[DecodeForm], models: list[str], data: list[str], targets: list[str], out: Path | None
) -> tuple[dict[str, Any], str]:
    """The record as plain data, and its tables."""
    from npuface_benchmarks.decode_page import FILE_NAME, DecodeRecord, markdown, record_bytes
    from npuface_benchmarks.decode_table import measure_forms, with_costs
    from npuface_benchmarks.files import check_writable, write_all
    from npuface_export.bundle import tool_versions
    from npuface_export.compile import check_compiler
    from npuface_export.target import target_by_name
    from npuface_toolkit.decode_maps import measured_network, network_maps

    compiled = [target_by_name(name) for name in targets]
    for target in compiled:
        check_compiler(target)
    if out is not None:
        check_writable(out / FILE_NAME)
    networks = [measured_network(name) for name in models]
    drawn = [maps for network in networks for maps in network_maps(network, data)]
    figures = with_costs(list(measure_forms(chosen, drawn)), chosen, networks, compiled)
    tools = ("torch", "ai-edge-litert", *(["ethos-u-vela"] if compiled else []))
    record = DecodeRecord(tuple(figures), tool_versions(tools))
    if out is not None:
        write_all(out, {FILE_NAME: record_bytes(record)})
    return record.as_json(), markdown(record)
