"""What INT8 costs the renderers of many heads: one head may be twice as far from float as another."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npuface_export.renderer import export_renderer, quantize_renderer
from npuface_export.target import Target
from npuface_toolkit.face3d.codes_file import Codes
from npuface_toolkit.face3d.generator import Generator
from npuface_toolkit.face3d.renderer_network import head_network


@dataclass(frozen=True)
class QuantizedHeads:
    """INT8 against float, by the pictures that the target's engine or its stand-in makes of drawn poses.

    Attributes:
        target: whose bundles they are.
        heads: how many, each baked into a renderer of its own.
        median_db, worst_db: peak signal to noise ratio of a head's pictures, dB.
        all_db: of the mean squared error of all of them.
        above_45: share of heads at or above 45 dB.
    """

    target: str
    heads: int
    median_db: float
    worst_db: float
    all_db: float
    above_45: float


def quantize_heads(generator: Generator, heads: Sequence[Codes], target: Target) -> QuantizedHeads:
    """Export and quantize the renderer of each head for a target, by the target's own recipe.

    Raises:
        UserError: the target does not run INT8, or its compiler is missing.
    """
    found = []
    for codes in heads:
        with tempfile.TemporaryDirectory(prefix="npuface-") as folder:
            export_renderer(head_network("head", generator, codes, target), target, Path(folder) / "head")
            fidelity = quantize_renderer(Path(folder) / "head").fidelity
        assert fidelity is not None
        found.append(fidelity["psnr_db"])
    measured = np.array(found)
    return QuantizedHeads(
        target.name,
        len(found),
        round(float(np.median(measured)), 2),
        round(float(measured.min()), 2),
        round(float(-10 * np.log10(np.mean(10 ** (-measured / 10)))), 2),
        round(float((measured >= 45).mean()), 3),
    )
