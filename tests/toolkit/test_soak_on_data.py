"""The shipped student follows the faces of the research data through a short film: the promise of `npuface soak`."""

from __future__ import annotations

from pathlib import Path

from npuface_benchmarks.film import film
from npuface_benchmarks.soak import MAX_NME_RATIO, soak
from npuface_export.export import export_bundle
from npuface_export.target import target_by_name
from npuface_runtime import FaceAligner, FaceTracker
from npuface_toolkit.portraits import choose_portraits
from npuface_toolkit.student_network import student_network

FRAMES = 300


def test_tracking_keeps_ids_seldom_detects_and_is_as_exact(data: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    export_bundle(student_network("student-68"), target_by_name("onnxruntime-cpu"), bundle)
    cast, scheme = choose_portraits(f"points:{data}/p1/test_frames_keypoints.csv:{data}/p1/test", 20, seed=0)
    assert len(cast) == 20
    with FaceTracker(bundle) as tracker, FaceAligner(bundle) as aligner:
        ways = tracker.track, aligner.align
        result = soak(
            film(cast, FRAMES), *ways, scheme.eye_corners, compare_every=2, detector_runs=lambda: tracker.detections
        )
    assert result.frames == FRAMES
    assert result.swapped == 0
    assert result.actors > 1
    assert result.tracked_share > 0.9
    assert result.tracked_share > result.detected_share - 0.05
    assert result.tracked_nme < MAX_NME_RATIO * result.detected_nme
    assert result.detector_runs < FRAMES / 5, "tracking is faster by that; `npuface soak` measures how much"
