"""The `npuface` command."""

from __future__ import annotations

import errno
import os
import sys

import typer

from npuface_runtime.errors import UserError
from npuface_toolkit.cli import (
    augment,
    bench,
    bundles,
    c_header,
    detector,
    evaluate,
    export,
    face3d,
    faces,
    forms,
    label,
    label_shift,
    machine,
    matrix,
    quantize,
    toolchain,
    track,
    training,
    trial,
)
from npuface_toolkit.cli.console import CheckFailedError, errors, report_error

app = typer.Typer(
    name="npuface",
    help="Put face landmark models on NPUs: coordinates, not heatmaps, leave the network.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (
    training,
    trial,
    label,
    label_shift,
    augment,
    evaluate,
    export,
    quantize,
    bundles,
    c_header,
    detector,
    face3d,
    bench,
    faces,
    track,
    forms,
    machine,
    matrix,
    toolchain,
):
    group.register(app)

_MENDABLE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG}
"""Failures of the file system that the user can mend; any other OSError is a fault of ours and keeps its traceback."""

_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command. Exit code 0: done; 1: a check failed; 2: usage or bad input; 130: interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_run(arguments or ["--help"]))


def _run(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        code = app(arguments, standalone_mode=False)
        if code == _INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except UserError as error:
        report_error(error, as_json)
    except typer.TyperException as error:
        report_error(_usage_error(error), as_json)
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        what = f"cannot write {error.filename}" if error.filename else "cannot write a file"
        report_error(UserError(what, os.strerror(error.errno), "free some space or choose another folder"), as_json)
    except CheckFailedError as error:
        errors.print(f"[bold red]check failed:[/] {error}")
        return 1
    except (KeyboardInterrupt, typer.Abort):
        errors.print("interrupted")
        return _INTERRUPTED
    return 2


def _usage_error(error: typer.TyperException) -> UserError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "npuface"
    return UserError(f"cannot run {command}", error.format_message().rstrip("."), f"see {command} --help")
