"""Capture on one thread, the detector on a second, the network on the caller's: none waits for another."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Condition, Thread
from types import TracebackType
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import EngineError, UserError
from npuface_runtime.sources import Source, open_source
from npuface_runtime.tracker import FaceTracker, TrackedFace

Frame = NDArray[np.uint8]
_Item = TypeVar("_Item")
_PATIENCE = 2.0
"""Seconds to wait for a camera that does not come back from reading."""


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame that went through.

    Attributes:
        index: of the frame in its source; indices that are left out were dropped.
        time: in seconds: of a live source since some moment, else since the beginning of the video.
        frame: RGB uint8 [H, W, 3].
        faces: those in it.
    """

    index: int
    time: float
    frame: Frame
    faces: list[TrackedFace]


class Bounded(Generic[_Item]):
    """A queue of limited length between two threads. It carries the end, and the error that ended it, too."""

    def __init__(self, length: int, drop_oldest: bool) -> None:
        """Where it is full, `put` drops the oldest or waits."""
        self._length = length
        self._drops = drop_oldest
        self._items: deque[_Item] = deque()
        self._change = Condition()
        self._is_closed = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, item: _Item) -> bool:
        """Append an item. False where the queue is closed."""
        with self._change:
            if self._drops and len(self._items) >= self._length:
                self._items.popleft()
                self.dropped += 1
            self._change.wait_for(lambda: self._is_closed or len(self._items) < self._length)
            if self._is_closed:
                return False
            self._items.append(item)
            self._change.notify_all()
            return True

    def get(self) -> _Item:
        """The oldest item, as soon as there is one.

        Raises:
            StopIteration: the queue is closed and empty.
            BaseException: what it was closed with, once all items are taken.
        """
        with self._change:
            self._change.wait_for(lambda: self._items or self._is_closed)
            if self._items:
                item = self._items.popleft()
                self._change.notify_all()
                return item
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            raise StopIteration

    def close(self, error: BaseException | None = None, discard: bool = False) -> None:
        """Take no more items; those inside stay to be taken, unless they are to be discarded."""
        with self._change:
            self._is_closed = True
            self._error = self._error or error
            if discard:
                self._items.clear()
                self._error = None
            self._change.notify_all()


class Pipeline:
    """Tracked frames of a source, by iteration. A context manager.

    The source is read on a thread of its own. With a tracker opened with beside=True the detector has another,
    so that capture, detection and the network overlap.
    """

    def __init__(
        self,
        source: str | int | Source | Iterable[Frame],
        tracker: FaceTracker,
        *,
        length: int = 2,
        drop_oldest: bool | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> None:
        """Start to read a source.

        Args:
            source: see open_source.
            tracker: stays the caller's to close.
            length: frames that may wait for the network.
            drop_oldest: when more would wait, drop the oldest, or let the source wait. Without it frames of
                live sources are dropped, and those of files are not.
            on_error: is told of an engine's failure on one frame, which is then left out. Without it the
                failure is raised, and iteration may go on after it.

        Raises:
            UserError: the source cannot be opened, or the length is no whole number from 1 up.
        """
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise UserError(f"cannot let {length!r} frames wait", "it is not a whole number from 1 up", "give 1 or 2")
        self._tracker = tracker
        self._on_error = on_error
        self._source = open_source(source)
        self._owns_source = self._source is not source
        drops = self._source.is_live if drop_oldest is None else drop_oldest
        self._queue: Bounded[tuple[int, float, Frame]] = Bounded(length, drops)
        self._is_closed = False
        self._thread = Thread(target=self._capture, name="npuface-capture", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Frames that were dropped because newer ones came."""
        return self._queue.dropped

    def _capture(self) -> None:
        """Read the source until it ends or nobody wants more. Whatever goes wrong is raised in the caller."""
        rate = self._source.frame_rate or self._tracker.tracking.frame_rate
        try:
            for index, frame in enumerate(self._source):
                now = time.monotonic() if self._source.is_live else index / rate
                if not self._queue.put((index, now, frame)):
                    break
        except Exception as error:
            self._queue.close(error)
        finally:
            self._queue.close()
            if self._owns_source and self._is_closed:  # close() may not have waited for the last read
                self._source.close()

    def __iter__(self) -> Iterator[TrackedFrame]:
        return self

    def __next__(self) -> TrackedFrame:
        """The next frame and its faces.

        Raises:
            StopIteration: the source has ended, or the pipeline is closed.
            UserError: the source broke off; EngineError: see on_error. Any other error of the source as it was.
        """
        while True:
            index, now, frame = self._queue.get()
            try:
                return TrackedFrame(index, now, frame, self._tracker.track(frame, now))
            except EngineError as error:
                if self._on_error is None:
                    raise
                self._on_error(error)

    def close(self) -> None:
        """Stop reading and let go of the source, if it was opened here. Closing twice is harmless.

        A source that is slow to come back from a read is let go of as soon as it does.
        """
        self._is_closed = True
        self._queue.close(discard=True)
        self._thread.join(_PATIENCE)
        if self._owns_source and not self._thread.is_alive():
            self._source.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
