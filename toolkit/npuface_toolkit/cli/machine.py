"""`npuface targets` and `doctor`: what can be deployed to, and what is installed here."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import typer

from npuface_toolkit.cli.console import CheckFailedError, JsonOption, output, table

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
    """List what can be deployed to.

    Example: npuface targets
    """
    from npuface_export.target import targets as known

    with output(as_json, "reading") as result:
        rows = [
            {
                "name": target.name,
                "title": target.title,
                "converter": target.converter,
                "compiler": target.compiler,
                "precisions": list(target.precisions),
                "npu": target.is_npu,
            }
            for target in known().values()
        ]
        shown = [
            (r["name"], r["title"], r["converter"], r["compiler"] or "-", ", ".join(target.precisions))
            for r, target in zip(rows, known().values(), strict=True)
        ]
        result.result(
            {"targets": rows}, table("Targets", ("name", "what it is", "converter", "compiler", "precisions"), shown)
        )


def doctor(as_json: JsonOption = False) -> None:
    """Say what is installed here and what is missing. Exit code 1 when something is.

    Example: npuface doctor
    """
    with output(as_json, "looking") as result:
        found = {package: _version(package) for package in _TOOLS}
        missing = sorted(package for package, number in found.items() if number is None)
        rows = [(package, found[package] or "missing", _TOOLS[package]) for package in found]
        data = {"python": platform.python_version(), "executable": sys.executable, "tools": found, "missing": missing}
        result.result(data, table(f"Python {platform.python_version()}", ("package", "version", "for"), rows))
    if missing:
        raise CheckFailedError(f"missing: {', '.join(missing)}; pip install 'npuface[export]' brings them")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
