"""Toolchains: their data; installing them, refused, interrupted, gone on with; removal. Real environments, real pip."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_toolchain import TINY, installed, write_wheel

from npuface_export.compilers import compiler_by_name
from npuface_export.target import targets
from npuface_export.toolchains import Toolchain, install_toolchain, remove_toolchain, toolchain_by_name, toolchains
from npuface_runtime.errors import UserError

COMPILERS = sorted({target.compiler for target in targets().values() if target.compiler})
COMMAND = "npuface toolchain install tiny"
FIRST = """
import sys
from pathlib import Path
from tiny_toolchain import TINY
from npuface_export.toolchains import install_toolchain
install_toolchain(TINY, accepted=True, python=Path(sys.argv[1]))
"""
"""Another process that installs the toolchain, with the Python that it is given."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "toolchains"
    monkeypatch.setenv("NPUFACE_TOOLCHAINS", str(folder))
    return folder


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder of packages for pip; the toolchain's main one is not there yet."""
    folder = tmp_path / "wheels"
    write_wheel(folder, "tiny_part", "1.0")
    return folder


def options(wheels: Path) -> tuple[str, ...]:
    return "--no-index", "--find-links", str(wheels)


def package_files(toolchain: Toolchain) -> Path:
    (folder,) = toolchain.folder.glob("lib/python*/site-packages")
    return folder


def refused(**arguments: Any) -> UserError:
    """The error of an installation that does not begin."""
    toolchain = arguments.pop("toolchain", TINY)
    with pytest.raises(UserError) as caught:
        install_toolchain(toolchain, **{"accepted": True, **arguments})
    assert caught.value.what == "cannot install the toolchain tiny"
    assert not TINY.folder.exists()
    return caught.value


def problem(toolchain: Toolchain) -> str | None:
    """What is wrong with a toolchain's data; None if nothing is."""
    pins = [re.fullmatch(r"([A-Za-z0-9._-]+)==(\d[\w.]*)", requirement) for requirement in toolchain.requirements]
    names = [re.sub(r"[-_.]+", "-", pin[1]).lower() for pin in pins if pin]
    if len(names) < len(pins):
        return "a package has no exact version"
    if len(set(names)) < len(names):
        return "a package is there twice"
    if toolchain.main not in [requirement.partition("==")[0] for requirement in toolchain.requirements]:
        return "its main package is not among the packages"
    if not (toolchain.licence and toolchain.licence_url.startswith("https://")):
        return "it names no licence with an address"
    return None if toolchain.title and toolchain.disk_mb > 0 else "it has no title or takes no space"


def test_every_toolchain_is_sound() -> None:
    assert {"qualcomm", "rockchip"} <= set(toolchains())
    assert {name: why for name, one in toolchains().items() if (why := problem(one))} == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"packages": ("tiny-tool>=2.1",)}, "a package has no exact version"),
        ({"packages": ("tiny-tool",)}, "a package has no exact version"),
        ({"packages": ("tiny-tool==2.*",)}, "a package has no exact version"),
        ({"packages": ("tiny-tool==2.1", "tiny_tool==2.2")}, "a package is there twice"),
        ({"main": "tiny"}, "its main package is not among the packages"),
        ({"licence_url": ""}, "it names no licence with an address"),
        ({"disk_mb": 0}, "it has no title or takes no space"),
        ({}, None),
    ],
)
def test_an_unsound_toolchain_is_caught(change: dict[str, Any], why: str | None) -> None:
    assert problem(replace(TINY, **change)) == why


@pytest.mark.parametrize("name", COMPILERS)
def test_a_compiler_names_a_toolchain_that_there_is(name: str) -> None:
    named = compiler_by_name(name).toolchain
    assert named is None or named in toolchains()


def test_compilers_and_toolchains_name_each_other() -> None:
    by_compiler = {(name, named) for name in COMPILERS if (named := compiler_by_name(name).toolchain)}
    assert by_compiler == {(name, one.name) for one in toolchains().values() for name in one.compilers}


def test_an_unknown_toolchain_names_the_near_one() -> None:
    with pytest.raises(UserError) as caught:
        toolchain_by_name("rokchip")
    assert "rockchip" in caught.value.why
    assert caught.value.fix == "did you mean rockchip?"


def test_without_the_licence_accepted_nothing_is_made() -> None:
    error = refused(accepted=False)
    assert error.why == "it comes under the Tiny licence (https://tiny.example/licence), which you have not accepted"
    assert error.fix == f"read it, then run: {COMMAND} --accept-licence"


def test_a_python_that_is_too_new_is_refused() -> None:
    error = refused(toolchain=replace(TINY, newest_python=(3, 9)))
    here = ".".join(map(str, sys.version_info[:2]))
    assert error.why == f"its packages are for Python up to 3.9, {sys.executable} is {here}"
    assert error.fix == "install Python 3.9 and name it with --python"


@pytest.mark.parametrize("printed", [None, "hello", "exit 1"])
def test_what_is_no_python_is_refused(tmp_path: Path, printed: str | None) -> None:
    program = tmp_path / "program"
    if printed is not None:
        program.write_text(f"#!/bin/sh\n{printed if ' ' in printed else f'echo {printed}'}\n")
        program.chmod(0o755)
    assert refused(python=program).why == f"{program} is no Python"


def test_a_missing_program_is_named() -> None:
    error = refused(toolchain=replace(TINY, programs=("no-such-program",)))
    assert error.why == "it needs the program no-such-program, which is not on the PATH"
    assert error.fix == "install no-such-program"


def test_a_disk_that_is_too_small_is_refused(home: Path) -> None:
    error = refused(toolchain=replace(TINY, disk_mb=10**9))
    assert error.why.startswith(f"it takes 1,000,000,000 MB, and {home} has ")
    assert "NPUFACE_TOOLCHAINS" in error.fix


def test_a_home_that_is_a_file_is_refused(home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    home.write_text("no folder")
    error = refused()
    assert "File exists" in error.why or "Not a directory" in error.why
    assert "NPUFACE_TOOLCHAINS" in error.fix


def test_an_interrupted_installation_goes_on_where_it_stopped(wheels: Path, caplog: pytest.LogCaptureFixture) -> None:
    # it was ended before pip came into the environment
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(TINY.folder)], check=True)
    with pytest.raises(UserError) as caught:
        install_toolchain(TINY, accepted=True, pip_options=options(wheels))
    assert caught.value.why.startswith("pip cannot install tiny-tool==2.1; it printed:\n")
    assert "No matching distribution found" in caught.value.why
    assert caught.value.fix == f"mend that and run {COMMAND} again: it goes on where it stopped"
    assert (TINY.version(), TINY.is_begun) == (None, True)
    with pytest.raises(UserError, match="installed only in part, or with other versions"):
        TINY.require()
    part = package_files(TINY) / "tiny_part.py"
    before = part.stat().st_mtime_ns
    write_wheel(wheels, "tiny_tool", "2.1")
    with caplog.at_level(logging.INFO, "npuface.toolchain"):
        install_toolchain(TINY, accepted=True, pip_options=options(wheels))
    assert caplog.messages == ["1 of 1: tiny-tool==2.1"]
    assert part.stat().st_mtime_ns == before
    assert (TINY.version(), TINY.is_begun, TINY.require()) == ("2.1", False, "2.1")
    ready = json.loads((TINY.folder / "ready.json").read_text())
    assert (ready["licence"], ready["licence_accepted"]) == ("the Tiny licence", True)
    used = [str(TINY.python), "-c", "import tiny_part, tiny_tool; print(tiny_tool.VERSION)"]
    assert subprocess.run(used, capture_output=True, text=True, check=True).stdout == "2.1\n"


def test_what_changes_in_an_environment_is_made_whole_or_is_no_toolchain(wheels: Path) -> None:
    write_wheel(wheels, "tiny_tool", "2.1")
    install_toolchain(TINY, accepted=True, pip_options=options(wheels))
    # pip was killed within a package, whose list of files comes last
    part = package_files(TINY) / "tiny_part.py"
    (package_files(TINY) / "tiny_part-1.0.dist-info" / "RECORD").unlink()
    part.unlink()
    TINY.forget_ready()
    install_toolchain(TINY, accepted=True, pip_options=options(wheels))
    assert part.is_file()

    # other pins: the old note holds no longer, and is gone before a package changes
    newer = replace(TINY, packages=("tiny_part==1.1", "tiny-tool==2.1"))
    assert (newer.version(), newer.is_begun) == (None, True)
    with pytest.raises(UserError, match=r"pip cannot install tiny_part==1\.1"):
        install_toolchain(newer, accepted=True, pip_options=options(wheels))
    assert TINY.version() is None

    # a build that asks for another version than the pinned one
    write_wheel(wheels, "tiny_part", "1.1", requires="not-there; extra == 'more'")
    write_wheel(wheels, "tiny_build", "3.0", requires="tiny_part==1.1")
    with pytest.raises(UserError, match=r"pip put other versions in place of tiny_part==1\.0"):
        install_toolchain(replace(TINY, resolved=("tiny_build==3.0",)), accepted=True, pip_options=options(wheels))
    assert TINY.version() is None

    assert remove_toolchain(TINY)
    assert [path.name for path in TINY.folder.parent.iterdir()] == [".tiny.lock"]
    assert not remove_toolchain(TINY)


def test_a_second_installation_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    started, python = tmp_path / "started", tmp_path / "python"
    python.write_text(f"#!/bin/sh\nif [ $1 = -c ]; then echo 3 11; else echo $$ > {started}; exec sleep 60; fi\n")
    python.chmod(0o755)
    first = subprocess.Popen([sys.executable, "-c", FIRST, str(python)], cwd=Path(__file__).parent)
    try:
        until = time.monotonic() + 60
        while not (started.is_file() and started.read_text().endswith("\n")):
            assert first.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        for act in (lambda: install_toolchain(TINY, accepted=True), lambda: remove_toolchain(TINY)):
            with pytest.raises(UserError, match="another installation is running"):
                act()
        os.kill(int(started.read_text()), signal.SIGKILL)
    finally:
        first.kill()
        first.wait()
    remove_toolchain(TINY)  # the lock does not survive the process


def test_an_environment_whose_python_is_gone_is_no_toolchain() -> None:
    installed(TINY)
    assert TINY.version() == "2.1"
    TINY.python.unlink()
    assert TINY.version() is None


def test_what_is_installed_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    installed(TINY)
    with caplog.at_level(logging.INFO, "npuface.toolchain"):
        install_toolchain(TINY, accepted=False)
    assert caplog.messages == ["tiny is installed"]


def test_a_folder_of_somebody_elses_is_neither_filled_nor_deleted() -> None:
    own = TINY.folder / "thesis" / "chapter.txt"
    own.parent.mkdir(parents=True)
    own.write_text("words")
    for act in (lambda: install_toolchain(TINY, accepted=True), lambda: remove_toolchain(TINY)):
        with pytest.raises(UserError, match="something other than a toolchain is in "):
            act()
    assert [path for path in TINY.folder.rglob("*") if path.is_file()] == [own]


def test_a_removal_that_was_interrupted_is_ended() -> None:
    left = TINY.folder.with_name(".tiny.removed") / "lib"
    left.mkdir(parents=True)
    assert not remove_toolchain(TINY)
    assert [path.name for path in TINY.folder.parent.iterdir()] == [".tiny.lock"]
