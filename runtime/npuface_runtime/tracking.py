"""How faces are followed: what a user may set."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from npuface_runtime.checks import number_of, why_wrong
from npuface_runtime.errors import UserError
from npuface_runtime.smoothing import Smoothing


@dataclass(frozen=True)
class Tracking:
    """How faces are followed.

    Attributes:
        detect_every: frames between two runs of the detector while every face is followed surely; a new face beside
            others waits for that long at most.
        search_every: frames between two runs while there is none, or one is lost or doubtful. The first frame
            without a face that was there before is searched at once.
        min_confidence: a face whose mean confidence, over that of a clear face (manifest.Decode.face_confidence), is
            lower is lost; one under 1.6 times it is weak. `student-68` has 0.53 to 1.2 on
            faces of WFLW (5 % to 95 %), 0.04 to 0.3 on other things.
        doubt: a face is doubtful when its confidence falls below this share of what it was when the detector
            last saw it.
        keep_lost: frames for which a lost face's place is remembered, so that it gets its id again.
        max_missed: a doubtful or weak face that the detector does not see that many times in a row is dropped,
            and where the decode has no confidence, any face.
        max_lag: frames that a detector on a thread of its own may be late; the next one waits for it.
        max_faces: how many are followed at most.
        smoothing: of the landmarks that are given out; None gives them as the network finds them.
        frame_rate: frames a second, for frames that come without their time.
    """

    detect_every: int = 20
    search_every: int = 5
    min_confidence: float = 0.5
    doubt: float = 0.6
    keep_lost: int = 10
    max_missed: int = 2
    max_lag: int = 15
    max_faces: int = 8
    smoothing: Smoothing | None = field(default_factory=Smoothing)
    frame_rate: float = 30.0

    def __post_init__(self) -> None:
        """Raises UserError where a number is out of range or none."""
        whole = ("detect_every", "search_every", "max_missed", "max_lag", "max_faces")
        wrong = [name for name in whole if not number_of(getattr(self, name)) >= 1]
        wrong += [name for name in ("min_confidence", "doubt") if not 0 <= number_of(getattr(self, name)) <= 1]
        wrong += ["keep_lost"] * (not number_of(self.keep_lost) >= 0)
        wrong += ["frame_rate"] * (not 0 < number_of(self.frame_rate) < math.inf)
        wrong += ["smoothing"] * (not isinstance(self.smoothing, Smoothing | None))
        if wrong:
            value = getattr(self, wrong[0])
            raise UserError(f"cannot track with {wrong[0]} {value!r}", why_wrong(value), "see Tracking")
