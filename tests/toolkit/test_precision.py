"""bfloat16 is for processors that have it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from npuface_toolkit import precision
from npuface_toolkit.precision import autocasts

AVX512 = {"avx512_bw": True, "avx512_vl": True, "avx512_dq": True}


@pytest.mark.parametrize(
    ("has", "fit"),
    [({"avx2": True, "avx512_bf16": False}, False), ({"amx_bf16": True}, True), (AVX512, False), ({}, False)],
)
def test_it_is_taken_where_the_processor_has_it_and_said_where_not(
    has: dict[str, bool], fit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    monkeypatch.setattr(precision, "_log", SimpleNamespace(warning=said.append))
    assert autocasts("bf16", torch.device("cpu")) is fit
    assert any("training in float32" in line for line in said) is not fit


def test_float32_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert autocasts("fp32", torch.device("cpu")) is False
