"""Make a toolchain's environment: pinned, resumable, and only under a licence that the user accepted."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from npuface_export.toolchains.lock import only_one
from npuface_export.toolchains.toolchain import HOME_VARIABLE, Toolchain
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
        UserError: the licence is not accepted, the Python is too new, a program or disk space is missing, another
            installation is running, something else is in its folder, or pip fails.
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
    with only_one(toolchain, what):
        _install(toolchain, interpreter, pip_options, what)


def remove_toolchain(toolchain: Toolchain) -> bool:
    """Delete a toolchain's environment, a half-installed one too. Returns whether there was one.

    Raises:
        UserError: something else is in its folder, or another process installs it.
    """
    what = f"cannot remove the toolchain {toolchain.name}"
    with only_one(toolchain, what):
        return _remove(toolchain, what)


def _install(toolchain: Toolchain, interpreter: Path, pip_options: Sequence[str], what: str) -> None:
    _check_space(toolchain, what)
    _check_folder(toolchain, what)
    toolchain.forget_ready()  # first: with some packages changed it is no longer what the note says
    _make_environment(toolchain, interpreter, what)
    missing = _missing(toolchain)
    for number, requirement in enumerate(missing, 1):
        _log.info("%d of %d: %s", number, len(missing), requirement)
        complete = () if requirement in toolchain.resolved else ("--no-deps",)
        _pip_install(toolchain, requirement, (*complete, *pip_options), what)
    _check_pins(toolchain, what)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    toolchain.write_ready({"installed": now, "licence": toolchain.licence, "licence_accepted": True})


def _remove(toolchain: Toolchain, what: str) -> bool:
    going = toolchain.folder.with_name(f".{toolchain.name}.removed")
    if going.exists():  # what an interrupted removal left
        shutil.rmtree(going)
    if not toolchain.folder.exists():
        return False
    _check_folder(toolchain, what)
    toolchain.folder.rename(going)  # in one step: half of an environment is no toolchain
    shutil.rmtree(going)
    return True


def _check_python(toolchain: Toolchain, interpreter: Path, what: str) -> None:
    asked = [str(interpreter), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        printed = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout
        major, minor = (int(part) for part in printed.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        raise UserError(what, f"{interpreter} is no Python", "give --python the path of one") from None
    if (major, minor) > toolchain.newest_python:
        newest = ".".join(map(str, toolchain.newest_python))
        raise UserError(
            what,
            f"its packages are for Python up to {newest}, {interpreter} is {major}.{minor}",
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
            f"free some space, or let {HOME_VARIABLE} name a folder on another disk",
        )


def _check_folder(toolchain: Toolchain, what: str) -> None:
    """Refuse a folder that holds files and is no environment: it is somebody's own."""
    folder = toolchain.folder
    if (folder / "pyvenv.cfg").is_file() or not any(path.is_file() for path in folder.rglob("*")):
        return
    raise UserError(
        what,
        f"something other than a toolchain is in {folder}",
        f"move it away, or let {HOME_VARIABLE} name another folder",
    )


def _make_environment(toolchain: Toolchain, interpreter: Path, what: str) -> None:
    """Make it, unless it is there as a whole: pip is what comes into it last."""
    try:
        if not subprocess.run([*_pip(toolchain), "--version"], capture_output=True).returncode:
            return
    except OSError:
        pass  # it has no Python
    toolchain.folder.mkdir(parents=True, exist_ok=True)
    command = [str(interpreter), "-m", "venv", "--clear", str(toolchain.folder)]
    made = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    if made.returncode:
        raise UserError(what, _tail(made.stdout + made.stderr) or "the environment cannot be made", _CANNOT_MAKE)


def _missing(toolchain: Toolchain) -> list[str]:
    """The requirements that are not installed yet in the pinned version. Local builds (+cpu) count as the version."""
    folders = [*toolchain.folder.glob("lib/python*/site-packages"), toolchain.folder / "Lib" / "site-packages"]
    for folder in folders:
        _clear_unfinished(folder)
    found = {_canonical(dist.name): dist.version for dist in distributions(path=[str(folder) for folder in folders])}
    missing = []
    for requirement in toolchain.requirements:
        name, _, pinned = requirement.partition("==")
        if found.get(_canonical(name), "").partition("+")[0] != pinned:
            missing.append(requirement)
    return missing


def _check_pins(toolchain: Toolchain, what: str) -> None:
    """Refuse an environment in which pip put another version, for what it installed later, in place of a pinned one."""
    changed = _missing(toolchain)
    if changed:
        why = f"pip put other versions in place of {', '.join(changed)}"
        raise UserError(what, why, "take away the --pip-option that asks for them, or report it: the pins do not fit")


def _clear_unfinished(packages: Path) -> None:
    """Delete what a pip that was ended left: the records of packages without the list that it writes last.

    pip would take such a package for a whole one.
    """
    renamed = packages.glob("~*")  # by pip, until what replaces them is there
    unfinished = [info for info in packages.glob("*.dist-info") if not (info / "RECORD").is_file()]
    for folder in {*renamed, *unfinished}:
        shutil.rmtree(folder)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip(toolchain: Toolchain) -> tuple[str, ...]:
    """pip of the environment; packages that PYTHONPATH names are not in it."""
    return (str(toolchain.python), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input")


def _pip_install(toolchain: Toolchain, requirement: str, options: Sequence[str], what: str) -> None:
    command = [*_pip(toolchain), "install", *options, requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    if done.returncode:
        again = f"mend that and run {toolchain.install_command} again: it goes on where it stopped"
        raise UserError(
            what, f"pip cannot install {requirement}; it printed:\n{_tail(done.stdout + done.stderr)}", again
        )


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_LOG_LINES:])
