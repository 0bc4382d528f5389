"""Make a toolchain's environment: pinned, resumable, and only under a licence that the user accepted."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from npuface_export.toolchains.toolchain import Toolchain
from npuface_runtime.errors import UserError

_log = logging.getLogger("npuface.toolchain")
_LOG_LINES = 8
_CANNOT_MAKE = "check that this Python has the venv module"


def install_toolchain(
    toolchain: Toolchain, *, accepted: bool, python: Path | None = None, pip_options: Sequence[str] = ()
) -> None:
    """Make the environment, or go on where an installation was interrupted. Nothing happens if it is there.

    Args:
        toolchain: what to install.
        accepted: whether the user has accepted its licence.
        python: the interpreter to make the environment with; this one without it.
        pip_options: handed to pip, such as an index that has the CPU build of torch.

    Raises:
        UserError: the licence is not accepted, the Python is too new, a program or disk space is missing, or pip fails.
    """
    what = f"cannot install the toolchain {toolchain.name}"
    if toolchain.version() is not None:
        _log.info("%s is installed", toolchain.name)
        return
    if not accepted:
        raise UserError(
            what,
            f"it comes under {toolchain.licence} ({toolchain.licence_url}), which you have not accepted",
            f"read it, then run: {toolchain.install_command} --accept-licence",
        )
    interpreter = Path(sys.executable) if python is None else python
    _check_python(toolchain, interpreter, what)
    _check_programs(toolchain, what)
    _check_space(toolchain, what)
    toolchain.folder.mkdir(parents=True, exist_ok=True)
    _make_environment(toolchain, interpreter, what)
    missing = _missing(toolchain)
    for number, requirement in enumerate(missing, 1):
        _log.info("%d of %d: %s", number, len(missing), requirement)
        complete = () if requirement in toolchain.resolved else ("--no-deps",)
        _pip(toolchain, ("install", *complete, *pip_options, requirement), what)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    toolchain.write_ready({"installed": now, "licence": toolchain.licence, "licence_accepted": True})


def remove_toolchain(toolchain: Toolchain) -> bool:
    """Delete a toolchain's environment, a half-installed one too. Returns whether there was one."""
    if not toolchain.folder.exists():
        return False
    toolchain.forget_ready()  # first: what is left of an interrupted removal is no toolchain
    shutil.rmtree(toolchain.folder)
    return True


def _check_python(toolchain: Toolchain, interpreter: Path, what: str) -> None:
    asked = [str(interpreter), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    except (OSError, subprocess.SubprocessError):
        raise UserError(what, f"{interpreter} is no Python", "give --python the path of one") from None
    version = (int(found[0]), int(found[1]))
    if version > toolchain.newest_python:
        newest = ".".join(map(str, toolchain.newest_python))
        raise UserError(
            what,
            f"its packages are for Python up to {newest}, this one is {'.'.join(found)}",
            f"install Python {newest} and name it with --python",
        )


def _check_programs(toolchain: Toolchain, what: str) -> None:
    for program in toolchain.programs:
        if shutil.which(program) is None:
            raise UserError(what, f"it needs the program {program}, which is not on the PATH", f"install {program}")


def _check_space(toolchain: Toolchain, what: str) -> None:
    place = next(folder for folder in (toolchain.folder, *toolchain.folder.parents) if folder.exists())
    held = sum(path.stat().st_size for path in toolchain.folder.rglob("*") if path.is_file() and not path.is_symlink())
    free_mb = (shutil.disk_usage(place).free + held) // 2**20
    if free_mb < toolchain.disk_mb:
        raise UserError(
            what,
            f"it takes {toolchain.disk_mb:,} MB, and {place} has {free_mb:,} MB free",
            "free some space, or let NPUFACE_TOOLCHAINS name a folder on another disk",
        )


def _make_environment(toolchain: Toolchain, interpreter: Path, what: str) -> None:
    if toolchain.python.exists():
        return
    command = [str(interpreter), "-m", "venv", str(toolchain.folder)]
    made = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if made.returncode:
        raise UserError(what, _tail(made.stdout + made.stderr) or "the environment cannot be made", _CANNOT_MAKE)


def _missing(toolchain: Toolchain) -> list[str]:
    """The requirements that are not installed yet in the pinned version. Local builds (+cpu) count as the version."""
    folders = [str(folder) for folder in toolchain.folder.glob("lib/python*/site-packages")]
    folders += [str(toolchain.folder / "Lib" / "site-packages")]
    found = {dist.name.lower().replace("_", "-"): dist.version for dist in distributions(path=folders)}
    missing = []
    for requirement in toolchain.requirements:
        name, _, pinned = requirement.partition("==")
        if found.get(name.lower().replace("_", "-"), "").partition("+")[0] != pinned:
            missing.append(requirement)
    return missing


def _pip(toolchain: Toolchain, arguments: Sequence[str], what: str) -> None:
    command = [str(toolchain.python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    if done.returncode:
        again = f"mend that and run {toolchain.install_command} again: it goes on where it stopped"
        raise UserError(what, f"pip failed with:\n{_tail(done.stdout + done.stderr)}", again)


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_LOG_LINES:])
