"""Rockchip's targets where the vendor's toolkit is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from npuface_export.compilers import compiler_by_name
from npuface_export.target import target_by_name
from npuface_runtime.errors import UserError


def test_a_missing_toolchain_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPUFACE_TOOLCHAINS", str(tmp_path / "none"))
    compiler = compiler_by_name("rockchip")
    for call in (
        compiler.version,
        lambda: compiler.compile(tmp_path / "model.onnx", target_by_name("rockchip-rk3588"), tmp_path),
    ):
        with pytest.raises(UserError, match=r"rockchip is not installed\. Run: npuface toolchain install rockchip"):
            call()
