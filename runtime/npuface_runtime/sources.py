"""Where frames come from: a file, a folder of pictures, a camera, a network stream, a pipe, or any iterator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.checks import is_file, is_folder, is_whole, unreadable
from npuface_runtime.errors import UserError
from npuface_runtime.opencv import load_opencv

Frame = NDArray[np.uint8]
STREAMS = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "tcp://")
_CAMERA_FOLDER = "/dev/video"
_MAX_DIGITS = 9
"""Of a camera's number, which OpenCV holds in 32 bits."""
_MAX_SIDE = 16384


@runtime_checkable
class Source(Protocol):
    """RGB frames uint8 [H, W, 3], one after the other; each belongs to the caller.

    Attributes:
        is_live: frames come when they come, and those that nobody takes are gone.
        frame_rate: frames a second; None where it is not known.
    """

    is_live: bool
    frame_rate: float | None

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Let go of the camera or file. Closing twice is harmless."""
        ...


def open_source(name: str | int | Path | Source | Iterable[Frame]) -> Source:
    """Open a source of frames.

    Args:
        name: the number of a camera (0, "0" or "/dev/video0"), the address of a stream (rtsp://...), the path of
            a video, a picture or a folder of pictures, or anything that gives RGB frames.

    Raises:
        UserError: there is no such thing, it cannot be opened, or OpenCV is not installed.
    """
    if isinstance(name, Source):
        return name
    if isinstance(name, int) and not isinstance(name, bool):
        return Video(name)
    if isinstance(name, str | Path):
        return _open_named(str(name))
    if isinstance(name, Iterable):
        return Frames(name)
    raise UserError(f"unknown source {name!r}", "it gives no frames", "give a path, a camera's number or frames")


def _open_named(name: str) -> Source:
    camera = name.removeprefix(_CAMERA_FOLDER)
    if camera.isdecimal() and len(camera) <= _MAX_DIGITS:
        return Video(int(camera))
    if name.startswith(STREAMS):
        return Video(name)
    path = Path(name)
    if is_folder(path):
        return Pictures(path)
    if not is_file(path):
        raise UserError(
            f"cannot open the source {name!r}",
            "there is no such file or folder",
            "give a video, a folder of pictures, a camera's number, or an address such as rtsp://camera/stream",
        )
    return Pictures(path) if _cv2().haveImageReader(name) else Video(path)


class Frames:
    """Any iterable of RGB frames as a source."""

    def __init__(self, frames: Iterable[Frame], is_live: bool = False, frame_rate: float | None = None) -> None:
        self._frames = frames
        self.is_live = is_live
        self.frame_rate = frame_rate

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    def close(self) -> None:
        """See Source. What the frames come from stays the caller's."""


class Pictures:
    """The pictures of a folder in the order of their names, or one picture."""

    is_live = False
    frame_rate: float | None = None

    def __init__(self, path: Path) -> None:
        cv2 = _cv2()
        self._files = [path]
        if is_folder(path):
            try:
                files = sorted(path.iterdir())
            except OSError as error:
                raise unreadable(path, error) from None
            self._files = [file for file in files if is_file(file) and cv2.haveImageReader(str(file))]
        if not self._files:
            raise UserError(f"cannot open the source {path}", "there is no picture in it", "give another folder")

    def __iter__(self) -> Iterator[Frame]:
        cv2 = _cv2()
        for file in self._files:
            why = "it is damaged"
            try:
                picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
            except cv2.error as error:  # of a size that OpenCV does not take
                picture, why = None, f"OpenCV refuses it ({error.err})"
            if picture is None:
                raise UserError(f"cannot read the picture {file}", why, "remove it or save it again")
            yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """See Source."""


class Video:
    """A video file, a camera by its number, or a network stream, read by OpenCV."""

    def __init__(self, name: int | str | Path) -> None:
        cv2 = _cv2()
        self._name = name
        self.is_live = not isinstance(name, Path)
        try:
            self._capture = cv2.VideoCapture(str(name) if isinstance(name, Path) else name)
        except cv2.error:
            why = "OpenCV does not take that for a camera or an address"
            raise UserError(f"cannot open the source {name}", why, "give a camera's number, such as 0") from None
        if not self._capture.isOpened():
            self._capture.release()
            why = "OpenCV cannot read it" if isinstance(name, Path) else "it does not answer"
            raise UserError(f"cannot open the source {name}", why, "check that another player shows it")
        if self.is_live:
            # the newest frame is wanted; drivers that cannot do that ignore it
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.frame_rate = rate if 0 < rate < 1000 else None

    def __iter__(self) -> Iterator[Frame]:
        cv2 = _cv2()
        count = 0
        while self._capture.isOpened():
            is_read, picture = self._capture.read()
            if not is_read:
                break
            count += 1
            yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        else:
            return
        if self.is_live:
            raise UserError(f"the source {self._name} broke off", f"after {count} frames", "open it again")
        if not count:
            raise UserError(f"cannot read the video {self._name}", "it holds no frame", "check that a player shows it")

    def close(self) -> None:
        """See Source."""
        self._capture.release()


class RawFrames:
    """Frames of one size as bare RGB bytes from a pipe, as GStreamer's fdsink or FFmpeg's rawvideo write them."""

    def __init__(
        self, stream: BinaryIO, width: int, height: int, *, is_live: bool = True, frame_rate: float | None = None
    ) -> None:
        """Take frames from a binary stream, such as sys.stdin.buffer. Raises UserError where the size is none."""
        if not all(is_whole(side) and 0 < side <= _MAX_SIDE for side in (width, height)):
            raise UserError(f"cannot read frames of {width!r} x {height!r}", "that is no size", "give it in pixels")
        self._stream = stream
        self._shape = (height, width, 3)
        self._is_empty = True
        self.is_live = is_live
        self.frame_rate = frame_rate

    def __iter__(self) -> Iterator[Frame]:
        size = int(np.prod(self._shape))
        while True:
            frame = np.empty(self._shape, np.uint8)
            view = frame.reshape(-1).data
            filled = 0
            while filled < size and (chunk := self._stream.read(size - filled)):
                view[filled : filled + len(chunk)] = chunk
                filled += len(chunk)
            if not filled:
                self._check_given()
                return
            if filled < size:
                width, height = self._shape[1::-1]
                raise UserError(
                    "the stream of frames broke off",
                    f"its last frame has {filled} of the {size} bytes of {width} x {height} RGB pixels",
                    "check the size and the format that the other side writes",
                )
            self._is_empty = False
            yield frame

    def _check_given(self) -> None:
        """A camera that gave nothing at all did not start: that is no end of a film."""
        if self.is_live and self._is_empty:
            raise UserError(
                "the stream of frames broke off", "it ended before its first frame", "check that the other side runs"
            )

    def close(self) -> None:
        """See Source."""
        self._stream.close()


def _cv2() -> Any:
    return load_opencv("cannot open this source", ", or give frames")
