"""The house rules that a machine can check. Each checker is shown a case that it must catch."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from packaging.utils import canonicalize_name
from test_package import closure
from typer.core import TyperCommand, TyperGroup

from npuface_export.target import Target, targets
from npuface_export.target_page import target_page
from npuface_toolkit.cli import app

ROOT = Path(__file__).parent.parent
MAX_LINES = 320
DATA_FOLDER_NAMED_IN = ".ci/run"
BELONGS_TO_ONE_MACHINE = {
    "a path of one machine": re.compile(r"(?<![\w.~$}>*/-])/(?:work|root|home|Users|opt|srv|mnt)/"),
    "a registry's address": re.compile(r"pypi[.]org|pythonhosted[.]org|download[.]pytorch|anaconda[.]org"),
    "a folder beside the clone": re.compile(r"[.][.]/shared"),
}
LINK = re.compile(r"""\[[^\]]*\]\(([^)\s]+)[^)]*\)|<img[^>]+src=["']([^"']+)""")
CODE = re.compile(r"^```[^\n]*\n(.*?)^```|^((?: {4}[^\n]*\n)+)|`([^`\n]+)`", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """The repository's files."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone: which files belong to the repository is not known")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="session")
def pages(tracked: list[Path]) -> list[Path]:
    return [path for path in tracked if path.suffix == ".md"]


@pytest.fixture(scope="session")
def make_targets() -> set[str]:
    found = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found
    return set(found[1].split())


def machine_bound(text: str) -> list[str]:
    """What in a text holds on one machine alone."""
    return [what for what, pattern in BELONGS_TO_ONE_MACHINE.items() if pattern.search(text)]


def without_code(markdown: str) -> str:
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", markdown, flags=re.MULTILINE | re.DOTALL)


def anchors(markdown: str) -> set[str]:
    """What the headings of a page can be linked by."""
    titles = re.findall(r"^#+ +(.*)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    """Links of a page to files or headings that are not there. Other sites are not visited."""
    broken = []
    for match in LINK.finditer(without_code(page.read_text())):
        link = match[1] or match[2]
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        goal = page.parent / name if name else page
        if not goal.exists() or (anchor and anchor not in anchors(goal.read_text())):
            broken.append(link)
    return broken


def commands_in(markdown: str) -> Iterator[list[str]]:
    """The `make` and `npuface` commands that a page shows, in words."""
    for match in CODE.finditer(markdown):
        code = next(part for part in match.groups() if part is not None).replace("\\\n", " ")
        for line in code.splitlines():
            shown = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
            if shown.startswith(("make ", "npuface ")):
                yield shlex.split(shown, comments=True)


def npuface_commands() -> dict[str, TyperCommand]:
    """Every command by its words after npuface, such as `toolchain install`, and groups of commands too."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = dict(group.commands)
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            found |= {f"{name} {sub}": subcommand for sub, subcommand in command.commands.items()}
    return found


def wrong_command(words: Sequence[str], make_targets: set[str]) -> str | None:
    """Why a command cannot be run; None if it can."""
    program, *rest = words
    if program == "make":
        unknown = [word for word in rest if "=" not in word and word.islower() and word not in make_targets]
        return f"no make target {unknown[0]}" if unknown else None
    if not rest or rest[0] == "--help" or not rest[0].islower():
        return None
    known = npuface_commands()
    name = rest[0] if not isinstance(known.get(rest[0]), TyperGroup) else " ".join(rest[:2])
    if name not in known:
        return f"no command npuface {name}"
    options = {"--help", *(option for parameter in known[name].params for option in parameter.opts)}
    unknown = [word for word in rest if word.startswith("--") and word not in options]
    return f"npuface {name} has no {unknown[0]}" if unknown else None


def target_problem(target: Target) -> str | None:
    """What is wrong with a target's data; None if nothing is."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", target.name):
        return "its name is not vendor-chip"
    if find_spec(f"npuface_export.converters.{target.converter}") is None:
        return f"there is no converter {target.converter}"
    if target.compiler is not None and find_spec(f"npuface_export.compilers.{target.compiler}") is None:
        return f"there is no compiler {target.compiler}"
    if not target.precisions or not set(target.precisions) <= {"float32", "float16", "int8"}:
        return f"its precisions are {target.precisions}"
    without = [name for name, limit in (target.operators or {}).items() if not limit.source]
    return f"no source is given for {', '.join(without)}" if without or not target.source else None


def pinned(constraints: str) -> dict[str, str]:
    """Versions by name. Raises ValueError at a line that is no pin: an option, an address, a range."""
    pins = {}
    for line in constraints.splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([\w.-]+)==([\w.]+)", line)
            if match is None:
                raise ValueError(f"not a pin: {line}")
            pins[canonicalize_name(match[1])] = match[2]
    return pins


def test_no_file_is_too_long(tracked: list[Path]) -> None:
    lines = {path: len(path.read_text().splitlines()) for path in tracked if path.suffix in (".py", ".toml")}
    assert len(lines) > 50
    assert {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > MAX_LINES} == {}


def test_nothing_is_bound_to_one_machine(tracked: list[Path]) -> None:
    found = {}
    for path in tracked:
        text = path.read_bytes().decode("utf-8", errors="ignore")
        name = str(path.relative_to(ROOT))
        bound = [what for what in machine_bound(text) if name != DATA_FOLDER_NAMED_IN or "beside" not in what]
        if bound:
            found[name] = bound
    assert found == {}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("folder = '" + "/" + "home/me/data'", "a path of one machine"),
        ("--extra-index-url https://" + "pypi" + ".org/simple", "a registry's address"),
        ("data = '.." + "/shared/data'", "a folder beside the clone"),
    ],
)
def test_machine_bound_text_is_caught(text: str, what: str) -> None:
    assert machine_bound(text) == [what]
    assert machine_bound("#!/usr/bin/env bash\nhttps://docs.example/home/page demo-out/work/x") == []


def test_links_resolve(pages: list[Path]) -> None:
    assert {page.name: links for page in pages if (links := broken_links(page))} == {}


def test_broken_links_are_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b` title\n[ok](page.md#a-b-title) [file](gone.md) [part](#gone) ![p](gone.png) `[code](x)`\n")
    assert broken_links(page) == ["gone.md", "#gone", "gone.png"]


def test_commands_in_pages_exist(pages: list[Path], make_targets: set[str]) -> None:
    shown = [(page.name, words) for page in pages for words in commands_in(page.read_text())]
    assert len(shown) > 5
    assert [(name, why) for name, words in shown if (why := wrong_command(words, make_targets))] == []


def test_examples_in_the_help_exist(make_targets: set[str]) -> None:
    for name, command in npuface_commands().items():
        examples = re.findall(r"Example: (npuface .*)", command.help or "")
        assert examples, f"npuface {name} --help shows no example"
        assert [why for line in examples if (why := wrong_command(shlex.split(line), make_targets))] == []


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("```\n$ make everything\n```\n", "no make target everything"),
        ("Run\n\n    npuface fly away\n", "no command npuface fly"),
        ("`npuface toolchain fly`", "no command npuface toolchain fly"),
        ("`npuface toolchain install rockchip --now`", "npuface toolchain install has no --now"),
        ("`npuface toolchain install rockchip --accept-licence`", None),
        ("```sh\nnpuface export x \\\n  --speed 3  # fast\n```\n", "npuface export has no --speed"),
        ("`.venv/bin/npuface export X --out Y` and `make demo`, then `make TARGET`", None),
    ],
)
def test_wrong_commands_are_caught(page: str, why: str | None, make_targets: set[str]) -> None:
    found = [wrong_command(words, make_targets) for words in commands_in(page)]
    assert found
    assert set(found) == {why}


def test_make_help_lists_every_target(make_targets: set[str]) -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  ([a-z]+) ", shown, re.MULTILINE)) == make_targets
    assert {"demo", "test", "check", "bench"} <= make_targets


def test_make_says_which_python_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "demo", "PYTHON=false", f"VENV={tmp_path / 'env'}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "error: NPUFace needs Python 3.11 or newer, and 'false' is not that." in done.stderr
    assert "fix: install one and name it, for instance: make PYTHON=python3.11 demo" in done.stderr
    assert not (tmp_path / "env").exists()


def test_ci_runs_what_the_readme_says() -> None:
    run = ROOT / ".ci/run"
    assert os.access(run, os.X_OK)
    assert {"make lint", "make test"} <= {line.removeprefix("exec ") for line in run.read_text().splitlines()}
    assert "make test" in (ROOT / "README.md").read_text()


def test_the_page_of_targets_is_fresh() -> None:
    assert (ROOT / "docs/targets.md").read_text() == target_page(targets()), "run make docs"


def test_the_page_of_targets_follows_the_data() -> None:
    name, target = next((name, target) for name, target in targets().items() if target.operators)
    limited = replace(target, operators={k: v for k, v in (target.operators or {}).items() if k != "MaxPool"})
    page = target_page({name: limited})
    assert f"no: {name} has no MaxPool" in page
    assert page != target_page({name: target})


def test_every_target_is_sound() -> None:
    assert set(targets()) == {path.stem for path in (ROOT / "export/npuface_export/targets").glob("*.toml")}
    assert {name: why for name, target in targets().items() if (why := target_problem(target))} == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "Chip"}, "its name is not vendor-chip"),
        ({"converter": "abacus"}, "there is no converter abacus"),
        ({"compiler": "gnomes"}, "there is no compiler gnomes"),
        ({"precisions": ("int3",)}, "its precisions are ('int3',)"),
    ],
)
def test_unsound_targets_are_caught(change: dict[str, str], why: str) -> None:
    assert target_problem(replace(next(iter(targets().values())), **change)) == why


def test_constraints_pin_everything_that_development_installs() -> None:
    pins = pinned((ROOT / "constraints.txt").read_text())
    assert closure("npuface[dev]") - {"npuface"} - set(pins) == set()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ["numpy>=1.26"]


@pytest.mark.parametrize("line", ["--find-links folder", "numpy>=2", "torch @ file:torch.whl"])
def test_constraints_that_are_no_pins_are_caught(line: str) -> None:
    with pytest.raises(ValueError, match="not a pin"):
        pinned(f"numpy==2.0.0\n{line}\n")
