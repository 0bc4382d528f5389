"""`npuface toolchain`: vendor tools that have environments of their own: list, install, remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from npuface_toolkit.cli.console import JsonOption, output, table

if TYPE_CHECKING:
    from npuface_export.toolchains import Toolchain

NameArgument = Annotated[str, typer.Argument(help="One of those that npuface toolchain list shows.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app, under the name `toolchain`."""
    group = typer.Typer(
        help="Vendor tools in environments of their own: list, install, remove.\n\nExample: npuface toolchain list"
    )
    for name, command in (("list", list_), ("install", install), ("remove", remove)):
        group.command(name)(command)
    app.add_typer(group, name="toolchain")


def list_(as_json: JsonOption = False) -> None:
    """List the toolchains: what each is for, its version if it is installed, the space it takes, its licence.

    Example: npuface toolchain list
    """
    from npuface_export.toolchains import toolchains

    with output(as_json, "reading") as result:
        found = [toolchain_json(toolchain) for toolchain in toolchains().values()]
        rows = [
            (one["name"], one["title"], shown_state(one), f"{one['disk_mb']:,} MB", one["licence"]) for one in found
        ]
        columns = ("name", "what for", "version", "disk", "licence")
        notes = "\n".join(f"{one['name']}: {one['note']}" for one in found if one["note"])
        result.result({"toolchains": found}, table("Toolchains", columns, rows), notes)


def install(
    name: NameArgument,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read its licence and accept it.")
    ] = False,
    python: Annotated[
        Path | None, typer.Option("--python", help="The interpreter to make it with; this one without it.")
    ] = None,
    pip_option: Annotated[
        list[str] | None,
        typer.Option(
            "--pip-option",
            help="Handed to pip. Repeatable. torch's default build for Linux brings CUDA, several GB: this can name an "
            "index with CPU builds.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Install a toolchain under a licence that you accept. An interrupted installation goes on where it stopped.

    Example: npuface toolchain install rockchip --accept-licence
    """
    from npuface_export.toolchains import install_toolchain, toolchain_by_name

    toolchain = toolchain_by_name(name)
    accepted = accept_licence or (toolchain.version() is None and not as_json and _ask(toolchain))
    with output(as_json, f"installing {name}") as result:
        install_toolchain(toolchain, accepted=accepted, python=python, pip_options=pip_option or ())
        shown = f"{toolchain.title} {toolchain.version()} is in {toolchain.folder}"
        result.result(toolchain_json(toolchain), shown)


def remove(name: NameArgument, as_json: JsonOption = False) -> None:
    """Delete a toolchain and the logs of its runs.

    Example: npuface toolchain remove rockchip
    """
    from npuface_export.toolchains import remove_toolchain, toolchain_by_name

    with output(as_json, f"removing {name}") as result:
        toolchain = toolchain_by_name(name)
        removed = remove_toolchain(toolchain)
        shown = f"{name} is removed from {toolchain.folder}" if removed else f"{name} was not installed"
        result.result({"name": name, "removed": removed, "folder": str(toolchain.folder)}, shown)


def toolchain_json(toolchain: Toolchain) -> dict[str, Any]:
    """What the commands print of a toolchain with --json."""
    from npuface_export.target_table import target_tables

    version = toolchain.version()
    return {
        "name": toolchain.name,
        "title": toolchain.title,
        "targets": [name for name, table in target_tables().items() if table.get("compiler") in toolchain.compilers],
        "version": version,
        "begun": toolchain.is_begun,
        "install": None if version else toolchain.install_command,
        "disk_mb": toolchain.disk_mb,
        "licence": toolchain.licence,
        "licence_url": toolchain.licence_url,
        "programs": list(toolchain.programs),
        "note": toolchain.note,
        "folder": str(toolchain.folder),
    }


def shown_state(one: dict[str, Any]) -> str:
    """Its version, or what there is instead of one."""
    if one["version"]:
        return str(one["version"])
    return "incomplete" if one["begun"] else "not installed"


def _ask(toolchain: Toolchain) -> bool:
    """Whether the user accepts the licence; False where nobody sits at a terminal."""
    if not sys.stdin.isatty():
        return False
    typer.echo(f"{toolchain.title} comes under {toolchain.licence}:\n  {toolchain.licence_url}", err=True)
    if toolchain.note:
        typer.echo(toolchain.note, err=True)
    return typer.confirm("Do you accept it?", err=True)
