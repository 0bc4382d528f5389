"""Numbers that a user sets: what is none, or out of range, is refused when it is given."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from tracked_dots import Open, Seer, ids, picture

from npuface_runtime import RawFrames, Smoothing, Tracking, UserError

WRONG = {
    "detect_every": ["5", math.nan, 0, None, True, 1j],
    "search_every": [0, "x"],
    "max_missed": [math.nan, [2]],
    "max_lag": [-1, b"3"],
    "max_faces": [0, {}],
    "min_confidence": [1.1, math.nan, "0.5"],
    "doubt": [-0.1, "x"],
    "keep_lost": [-1, math.nan, "1"],
    "frame_rate": [0, math.inf, "30", 10**400],
    "smoothing": ["much", 1.0, False],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_number_to_track_with_is_refused(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"cannot track with {name} "):
        Tracking(**{name: value})


@pytest.mark.parametrize("numbers", [{"detect_every": np.int64(3)}, {"detect_every": math.inf}, {"keep_lost": 0}])
def test_numbers_of_every_kind_are_taken(numbers: dict[str, Any]) -> None:
    assert Tracking(**numbers) == Tracking(**numbers)


@pytest.mark.parametrize("name", ["min_cutoff", "beta", "speed_cutoff"])
@pytest.mark.parametrize("value", ["1", None, True, math.nan, math.inf, 10**400])
def test_a_wrong_number_to_smooth_with_is_refused(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"cannot smooth with {name} "):
        Smoothing(**{name: value})


@pytest.mark.parametrize("time", ["0", math.nan, math.inf, 10**400, True, [0.0]])
def test_a_time_that_is_none_is_refused_and_the_next_frame_is_tracked(open_tracker: Open, time: Any) -> None:
    tracker, frame = open_tracker(Seer((100, 100))), picture([(100, 100)])
    with pytest.raises(UserError, match="cannot track this frame: its time is"):
        tracker.track(frame, time)
    assert ids(tracker.track(frame, np.float32(0.5))) == [0]  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [("640", 480), (640, 480.0), (True, 1), (None, 1), (10**9, 1), (1, -1)])
def test_a_size_of_raw_frames_that_is_none_is_refused(size: tuple[Any, Any]) -> None:
    with pytest.raises(UserError, match=r"cannot read frames of .*that is no size"):
        RawFrames(io.BytesIO(), *size)
