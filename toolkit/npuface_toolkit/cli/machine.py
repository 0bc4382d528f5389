"""`npuface targets` and `doctor`: what can be deployed to, and what is installed here."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import typer

from npuface_runtime.errors import UserError
from npuface_toolkit.cli.console import CheckFailedError, JsonOption, output, table
from npuface_toolkit.cli.toolchain import shown_state, toolchain_json

if TYPE_CHECKING:
    from npuface_export.target import Target

_INSTALL = "pip install 'npuface[export]'"
_TOOLS = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "nncf": "nncf",
    "ai-edge-litert": "litert",
    "litert-torch": "litert",
    "ai-edge-quantizer": "litert",
    "ethos-u-vela": "vela",
    "torch": "training and export",
    "onnx": "export",
    "onnxsim": "export",
    "opencv-python-headless": "pictures and the cascade detector",
}


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(targets)
    app.command()(doctor)


def targets(as_json: JsonOption = False) -> None:
    """List what can be deployed to, and whether what compiles or runs it is installed.

    Example: npuface targets
    """
    from npuface_export.target import targets as known

    with output(as_json, "reading") as result:
        tools = cache(_tool)  # one for each compiler: vela's version takes a second
        found = [_target_json(target, tools(target.compiler, target.converter)) for target in known().values()]
        columns = ("name", "what it is", "converter", "compiler", "precisions", "installed")
        result.result({"targets": found}, table("Targets", columns, [_target_row(one) for one in found]))


def _target_json(target: Target, tool: _Tool) -> dict[str, Any]:
    return {
        "name": target.name,
        "title": target.title,
        "converter": target.converter,
        "compiler": target.compiler,
        "precisions": list(target.precisions),
        "npu": target.is_npu,
        **asdict(tool),
        "note": target.note,
    }


def _target_row(one: dict[str, Any]) -> tuple[str, ...]:
    what = f"{one['title']}. {one['note']}" if one["note"] else one["title"]
    installed = one["installed"] or f"no: {one['missing']}"
    return one["name"], what, one["converter"], one["compiler"] or "-", ", ".join(one["precisions"]), installed


@dataclass(frozen=True)
class _Tool:
    """What a target needs: its version, or what brings it, and the toolchain that it is part of."""

    installed: str | None
    missing: str | None
    toolchain: str | None = None


def _tool(compiler: str | None, converter: str) -> _Tool:
    """The compiler; where there is none, the engine that runs the model as it is."""
    from npuface_export.compilers import compiler_by_name
    from npuface_export.toolchains import toolchain_by_name

    if compiler is None:
        package = next(package for package, use in _TOOLS.items() if use == converter)
        number = _version(package)
        return _Tool(number, None if number else _INSTALL)
    known = compiler_by_name(compiler)
    try:
        return _Tool(known.version(), None, known.toolchain)
    except UserError as error:
        brings = toolchain_by_name(known.toolchain).install_command if known.toolchain else error.fix
        return _Tool(None, brings, known.toolchain)


def doctor(as_json: JsonOption = False) -> None:
    """Say what is installed here and what is missing. Exit code 1 when something is; toolchains may be missing.

    Example: npuface doctor
    """
    from npuface_export.toolchains import toolchains

    with output(as_json, "looking") as result:
        found = {package: _version(package) for package in _TOOLS}
        missing = sorted(package for package, number in found.items() if number is None)
        rows = [(package, found[package] or "missing", _TOOLS[package]) for package in found]
        data = {"python": platform.python_version(), "executable": sys.executable, "tools": found, "missing": missing}
        optional = [toolchain_json(toolchain) for toolchain in toolchains().values()]
        result.result(
            data | {"toolchains": optional},
            table(f"Python {platform.python_version()}", ("package", "version", "for"), rows),
            table("Toolchains, optional", ("name", "version", "for"), [_toolchain_row(one) for one in optional]),
        )
    if missing:
        raise CheckFailedError(f"missing: {', '.join(missing)}; {_INSTALL} brings them")


def _toolchain_row(one: dict[str, Any]) -> tuple[str, str, str]:
    action = f": {one['install']} {'goes on' if one['begun'] else 'brings it'}" if one["install"] else ""
    return one["name"], shown_state(one) + action, one["title"]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
