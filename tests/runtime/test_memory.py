"""The aligner on one core for as long as a camera runs, as far as a test can show it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from tiny_models import dotted_frame

from npuface_runtime import FaceAligner

FRAMES, WARM_UP, WITH_DETECTOR_EVERY = 2000, 300, 20
TOLERANCE = 4 << 20
"""Bytes. One leaked frame of these in ten would be 46 MB, one leaked network input in ten 10 MB."""
BOX = (130.0, 70.0, 210.0, 140.0)


@pytest.fixture
def one_core() -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not bind a process to a core")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_core")
def test_memory_stays_flat_over_2000_frames(onnx_bundle: Path) -> None:
    process = psutil.Process()
    frames = [dotted_frame(w, h, (150, 90), (190, 120)) for w, h in ((320, 240), (300, 200), (352, 288))]
    frames.append(frames[0][:, :, 0])
    with FaceAligner(onnx_bundle, "cascade", passes=2) as aligner:
        for n in range(FRAMES):
            frame = frames[n % len(frames)]
            if n == WARM_UP:
                start = process.memory_info().rss
            if n % WITH_DETECTOR_EVERY:
                (face,) = aligner.align(frame, boxes=[BOX])
                assert np.isfinite(face.landmarks).all()
            else:
                aligner.align(frame)
    grown = process.memory_info().rss - start
    assert grown < TOLERANCE, f"{grown} bytes in {FRAMES - WARM_UP} frames"
