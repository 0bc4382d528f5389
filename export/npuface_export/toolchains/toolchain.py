"""What a toolchain is: one TOML file of pinned packages and the licence that they come under, and where it is kept."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from npuface_runtime.errors import UserError
from npuface_runtime.plain import parse_json

_FOLDER = Path(__file__).parent
_READY = "ready.json"
HOME_VARIABLE = "NPUFACE_TOOLCHAINS"


@dataclass(frozen=True)
class Toolchain:
    """A vendor's tool in an environment of its own.

    Attributes:
        name: what users call it.
        title: for people.
        main: the distribution whose version is the toolchain's.
        compilers: those of npuface_export.compilers that run in it.
        licence, licence_url: what the user has to accept before it is installed.
        disk_mb: free space that an installation takes, with a fifth in reserve; torch as a CPU build.
        packages: distributions with exact versions, each installed without what it asks for: the list is complete.
        resolved: distributions with exact versions that go last, with what their builds ask for and `packages` does not
            have: torch, whose CUDA build pins libraries of its own.
        programs: that must be on the PATH, such as java.
        newest_python: the newest Python, as (major, minor), that the vendor has packages for.
        note: what a user should know before installing it.
    """

    name: str
    title: str
    main: str
    compilers: tuple[str, ...]
    licence: str
    licence_url: str
    disk_mb: int
    packages: tuple[str, ...]
    newest_python: tuple[int, int]
    resolved: tuple[str, ...] = ()
    programs: tuple[str, ...] = field(default=())
    note: str = ""

    @property
    def folder(self) -> Path:
        """Where its environment is, or will be."""
        return (toolchains_home() / self.name).resolve()

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self.folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @property
    def requirements(self) -> tuple[str, ...]:
        """Everything that is installed, in that order."""
        return (*self.packages, *self.resolved)

    @property
    def install_command(self) -> str:
        """The one command that brings it."""
        return f"npuface toolchain install {self.name}"

    @property
    def is_begun(self) -> bool:
        """Whether there is something of it that is not the whole: an interrupted installation, or older pins."""
        return self.folder.exists() and self.version() is None

    def version(self) -> str | None:
        """Its version, if this very set of packages was installed to the end and its Python is there; None if not."""
        try:
            ready = parse_json((self.folder / _READY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(ready, dict) or ready.get("packages") != list(self.requirements):
            return None
        if not self.python.exists():  # the Python that it was made with may be gone
            return None
        pinned = (requirement.partition("==") for requirement in self.requirements)
        return next(number for name, _, number in pinned if name == self.main)

    def require(self) -> str:
        """Its version.

        Raises:
            UserError: it is not installed.
        """
        version = self.version()
        if version is None:
            how = "installed only in part, or with other versions" if self.is_begun else "not installed"
            raise UserError(
                f"cannot use {self.title}", f"the toolchain {self.name} is {how}", f"run: {self.install_command}"
            )
        return version

    def write_ready(self, record: Mapping[str, Any]) -> None:
        """Note that it was installed to the end; `record` says when and under which licence."""
        text = json.dumps({**record, "packages": list(self.requirements)}, indent=2)
        unfinished = self.folder / f".{_READY}"
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(self.folder / _READY)

    def forget_ready(self) -> None:
        """Take that note away."""
        (self.folder / _READY).unlink(missing_ok=True)


def toolchains_home() -> Path:
    """The folder of all toolchains: $NPUFACE_TOOLCHAINS, or npuface/toolchains in the user's data folder."""
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return Path(named).expanduser().resolve()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "npuface" / "toolchains"


def _read(path: Path) -> Toolchain:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    raw |= {key: tuple(raw[key]) for key in ("compilers", "packages", "resolved", "programs") if key in raw}
    major, minor = (int(part) for part in raw.pop("newest_python").split("."))
    return Toolchain(name=path.stem, newest_python=(major, minor), **raw)


@cache
def toolchains() -> Mapping[str, Toolchain]:
    """Every toolchain by name, in alphabetical order."""
    return {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}


def toolchain_by_name(name: str) -> Toolchain:
    """The toolchain of that name.

    Raises:
        UserError: there is none.
    """
    known = toolchains()
    if name not in known:
        near = get_close_matches(name, known, cutoff=0.4) or sorted(known)
        raise UserError(
            f"unknown toolchain {name!r}",
            f"the toolchains are {', '.join(known)}",
            f"did you mean {' or '.join(near)}?",
        )
    return known[name]
