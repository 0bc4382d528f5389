"""The shipped student follows the faces of the research data through a short film: the promise of `npuface soak`."""

from __future__ import annotations

from pathlib import Path

from npuface_benchmarks.film import film
from npuface_benchmarks.soak import MAX_NME_RATIO, MIN_SPEEDUP, soak
from npuface_export.export import export_bundle
from npuface_export.target import target_by_name
from npuface_runtime import FaceAligner, FaceTracker
from npuface_toolkit.portraits import choose_portraits
from npuface_toolkit.student_network import student_network

FRAMES = 300


def test_tracking_keeps_ids_is_faster_and_as_exact(data: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    export_bundle(student_network("student-68"), target_by_name("onnxruntime-cpu"), bundle)
    cast, scheme = choose_portraits(f"points:{data}/p1/test_frames_keypoints.csv:{data}/p1/test", 20, seed=0)
    assert len(cast) == 20
    with FaceTracker(bundle) as tracker, FaceAligner(bundle) as aligner:
        result = soak(film(cast, FRAMES), tracker.track, aligner.align, scheme.eye_corners, compare_every=2)
    assert result.frames == FRAMES
    assert result.swapped == 0
    assert result.actors > 1
    assert result.tracked_share > 0.9
    assert result.tracked_share > result.detected_share - 0.05
    assert result.tracked_nme < MAX_NME_RATIO * result.detected_nme
    assert result.speedup > MIN_SPEEDUP
