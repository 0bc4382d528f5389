"""INT8 of many heads: each is baked, quantized and compared by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small import small_codes, small_model

from npuface_export.renderer import export_renderer, quantize_renderer
from npuface_export.target import target_by_name
from npuface_toolkit.face3d.quantized_heads import quantize_heads
from npuface_toolkit.face3d.renderer_network import head_network

GENERATOR = small_model().generator
TARGET = target_by_name("onnxruntime-cpu")


def test_figures_are_those_of_the_bundles(tmp_path: Path) -> None:
    heads = [small_codes(seed) for seed in (0, 5)]
    alone = []
    for place, codes in enumerate(heads):
        export_renderer(head_network("small", GENERATOR, codes, TARGET), TARGET, tmp_path / str(place))
        fidelity = quantize_renderer(tmp_path / str(place)).fidelity
        assert fidelity is not None
        alone.append(fidelity["psnr_db"])
    assert abs(alone[0] - alone[1]) > 0.1, "two heads, two figures"
    found = quantize_heads(GENERATOR, heads, TARGET)
    assert (found.heads, found.target) == (2, "onnxruntime-cpu")
    assert found.worst_db == pytest.approx(min(alone), abs=0.006)
    assert found.median_db == pytest.approx(np.mean(alone), abs=0.006)
    errors = [10 ** (-one / 10) for one in alone]
    assert found.all_db == pytest.approx(-10 * np.log10(np.mean(errors)), abs=0.006)
    assert found.above_45 == sum(one >= 45 for one in alone) / 2
