"""`npuface toolchain`, and what the other commands say where a toolchain is not installed."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_toolchain import installed

from npuface_export.bundle import workspace, write_bundle
from npuface_export.compilers import compiler_by_name
from npuface_export.target import targets
from npuface_export.toolchains import toolchain_by_name
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess, TensorInfo
from npuface_toolkit.cli import main

WITHOUT = """
import sys
sys.modules |= dict.fromkeys(("torch", "onnx", "onnxruntime", "openvino"))
from npuface_toolkit.cli import main
main()
"""
"""The command where these cannot be imported."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "toolchains"
    monkeypatch.setenv("NPUFACE_TOOLCHAINS", str(folder))
    return folder


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--json"])
    return int(left.value.code or 0), json.loads(capfd.readouterr().out)


def test_the_command_lists_installs_and_removes(capfd: pytest.CaptureFixture[str]) -> None:
    code, listed = run(capfd, "toolchain", "list")
    first = next(one for one in listed["toolchains"] if one["name"] == "rockchip")
    assert (code, first["version"], first["begun"]) == (0, None, False)
    assert first["install"] == "npuface toolchain install rockchip"
    assert first["licence_url"].startswith("https://")
    code, refusal = run(capfd, "toolchain", "install", "rockchip")
    assert code == 2
    assert refusal["error"]["fix"].endswith("npuface toolchain install rockchip --accept-licence")
    installed(toolchain_by_name("rockchip"))
    code, made = run(capfd, "toolchain", "install", "rockchip")
    assert (code, made["version"]) == (0, toolchain_by_name("rockchip").version())
    assert run(capfd, "toolchain", "list")[1]["toolchains"] != listed["toolchains"]
    assert run(capfd, "toolchain", "remove", "rockchip")[1]["removed"]
    assert not run(capfd, "toolchain", "remove", "rockchip")[1]["removed"]
    assert run(capfd, "toolchain", "list")[1] == listed
    assert run(capfd, "toolchain", "install", "rokchip")[0] == 2


@pytest.mark.parametrize(
    "command",
    [("doctor",), ("toolchain", "list"), ("toolchain", "install", "apple"), ("toolchain", "remove", "apple")],
)
def test_toolchains_need_neither_torch_nor_onnx(command: tuple[str, ...]) -> None:
    if command[1:2] == ("install",):
        installed(toolchain_by_name("apple"))
    done = subprocess.run([sys.executable, "-c", WITHOUT, *command, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    if command[-1] != "apple":
        by_name = {one["name"]: one for one in answer["toolchains"]}
        assert by_name["apple"]["targets"] == ["apple-ane"]
        assert len(by_name["rockchip"]["targets"]) > 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_the_licence_is_shown_and_asked_for(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    with pytest.raises(SystemExit) as left:
        main(["toolchain", "install", "rockchip"])
    shown = capfd.readouterr()
    assert left.value.code == 2
    assert shown.out.strip() == ""
    toolchain = toolchain_by_name("rockchip")
    assert toolchain.licence in shown.err
    assert toolchain.licence_url in shown.err
    assert "--pip-option can name an index with CPU builds" in shown.err
    assert "Do you accept it?" in shown.err
    assert not home.exists()


def test_doctor_names_a_half_installed_one_and_does_not_fail(capfd: pytest.CaptureFixture[str]) -> None:
    (toolchain_by_name("rockchip").folder / "bin").mkdir(parents=True)
    with pytest.raises(SystemExit) as left:
        main(["doctor"])
    text = " ".join(capfd.readouterr().out.split())
    assert left.value.code == 0
    assert "incomplete: npuface toolchain install rockchip goes on" in text
    assert "not installed: npuface toolchain install qualcomm brings it" in text


def needing() -> list[str]:
    """A target of every toolchain."""
    found: dict[str, str] = {}
    for target in targets().values():
        if target.compiler and (name := compiler_by_name(target.compiler).toolchain):
            found.setdefault(name, target.name)
    return sorted(found.values())


def test_targets_say_what_brings_their_compiler(capfd: pytest.CaptureFixture[str]) -> None:
    code, listed = run(capfd, "targets")
    assert code == 0
    by_name = {one["name"]: one for one in listed["targets"]}
    vela = by_name["ethos-u55-128"]
    assert re.match(r"\d+\.\d+", vela["installed"])
    assert (vela["missing"], vela["toolchain"]) == (None, None)
    assert by_name["onnxruntime-cpu"]["installed"]
    for name in needing():
        one = by_name[name]
        assert one["installed"] is None
        assert one["missing"] == f"npuface toolchain install {one['toolchain']}"


def bundle(out: Path, target: str) -> None:
    """A bundle whose model is none: nothing of it may be read before the toolchain is found missing."""
    with workspace(out) as folder:
        (folder / "model.onnx").write_bytes(b"model")
        manifest = Manifest(
            name="none",
            target=target,
            engine="onnxruntime",
            precision="float32",
            files={},
            input=TensorInfo("input", (1, 3, 8, 8), "float32", "NCHW"),
            outputs=(TensorInfo("heatmaps", (1, 2, 4, 4), "float32", "NCHW"),),
            preprocess=Preprocess((0.0,) * 3, (1.0,) * 3, 1.0),
            landmarks=Landmarks("test", 2),
            heatmap=HeatmapInfo(4, 4, (2.0, 2.0), (0.5, 0.5), "heatmaps"),
            decode=Decode("host", "heatmaps", {"beta": 1.0}, 128),
        )
        write_bundle(out, folder, manifest, {"model": folder / "model.onnx"})


@pytest.mark.parametrize("target", needing() or [None])
def test_quantize_and_compile_without_the_toolchain_stop_early(
    target: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if target is None:
        pytest.skip("no target's compiler is in a toolchain")
    name = compiler_by_name(targets()[target].compiler or "").toolchain
    out = tmp_path / "bundle"
    bundle(out, target)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    commands: list[tuple[str, ...]] = [("compile", str(out))]
    if "int8" in targets()[target].precisions:
        commands.append(("quantize", str(out), "--calibration", str(tmp_path)))
    for command in commands:
        code, refusal = run(capfd, *command)
        assert code == 2
        assert f"the toolchain {name} is not installed" in refusal["error"]["why"]
        assert refusal["error"]["fix"] == f"run: npuface toolchain install {name}"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]
