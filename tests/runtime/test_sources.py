"""Frames from files, folders, pipes and iterators; cameras and streams through a stand-in for OpenCV's reader."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_runtime import RawFrames, Source, UserError, open_source
from npuface_runtime.sources import Frames, Pictures, Video

COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]


def plain(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((48, 64, 3), colour, np.uint8)


def write_video(path: Path, frames: int = 9) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    assert writer.isOpened()
    for i in range(frames):
        writer.write(plain(COLOURS[i % 3])[:, :, ::-1])
    writer.release()
    return path


def assert_colours(source: Source, count: int) -> None:
    frames = list(source)
    assert len(frames) == count
    for i, frame in enumerate(frames):
        assert (frame.shape, frame.dtype) == ((48, 64, 3), np.uint8)
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), COLOURS[i % 3], atol=6)


def test_a_video_gives_its_frames_in_rgb(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "film.avi"))
    assert not source.is_live
    assert source.frame_rate == 25
    assert_colours(source, 9)
    source.close()
    source.close()
    assert list(source) == []


def test_a_folder_gives_its_pictures_in_the_order_of_their_names(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{i}.png"), plain(COLOURS[i])[:, :, ::-1])
    (tmp_path / "notes.txt").write_text("not a picture")
    assert_colours(open_source(tmp_path), 3)
    assert_colours(open_source(str(tmp_path / "0.png")), 1)


def test_an_iterator_is_a_source() -> None:
    source = open_source(plain(colour) for colour in COLOURS)
    assert isinstance(source, Frames)
    assert_colours(source, 3)
    source.close()
    assert open_source(source) is source


class Trickle(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 1000))


def test_a_pipe_of_raw_frames_is_a_source() -> None:
    data = b"".join(plain(colour).tobytes() for colour in COLOURS)
    assert_colours(RawFrames(Trickle(data), 64, 48), 3)
    assert list(RawFrames(io.BytesIO(b""), 64, 48, is_live=False)) == []


def test_a_live_pipe_that_gives_no_frame_at_all_says_so() -> None:
    with pytest.raises(UserError, match="the stream of frames broke off: it ended before its first frame"):
        list(RawFrames(io.BytesIO(b""), 64, 48))
    source = RawFrames(io.BytesIO(plain(COLOURS[0]).tobytes()), 64, 48)
    assert_colours(source, 1)
    assert list(source) == [], "it has ended, as it did before"


def test_a_pipe_that_breaks_off_says_so() -> None:
    source = iter(RawFrames(io.BytesIO(plain(COLOURS[0]).tobytes() + b"rest"), 64, 48))
    next(source)
    with pytest.raises(UserError, match="its last frame has 4 of the 9216 bytes of 64 x 48 RGB pixels"):
        next(source)
    with pytest.raises(UserError, match="cannot read frames of 0 x 48"):
        RawFrames(io.BytesIO(), 0, 48)


class Capture:
    """Stands in for cv2.VideoCapture."""

    opened: Any = None
    answers = True

    def __init__(self, name: object) -> None:
        type(self).opened = name
        self._left = 3

    def isOpened(self) -> bool:  # noqa: N802
        return self.answers and self._left >= 0

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        self._left -= 1
        return (True, plain(COLOURS[0])[:, :, ::-1]) if self._left >= 0 else (False, None)

    def set(self, *arguments: object) -> bool:
        return False

    def get(self, what: int) -> float:
        return 0.0

    def release(self) -> None:
        self._left = -1


@pytest.mark.parametrize(
    ("name", "opened"),
    [(0, 0), ("2", 2), ("/dev/video4", 4), ("rtsp://camera/stream", "rtsp://camera/stream")],
)
def test_cameras_and_streams_are_live_and_say_when_they_break_off(
    name: str | int, opened: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    source = open_source(name)
    assert isinstance(source, Video)
    assert Capture.opened == opened
    assert source.is_live
    assert source.frame_rate is None
    frames = iter(source)
    for _ in range(3):
        np.testing.assert_array_equal(next(frames), plain(COLOURS[0]))
    with pytest.raises(UserError, match="broke off: after 3 frames"):
        next(frames)


def test_a_camera_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr(Capture, "answers", False)
    with pytest.raises(UserError, match="cannot open the source 7: it does not answer"):
        open_source(7)


def test_a_camera_that_is_closed_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    source = open_source(0)
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []


def test_what_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 8)
    for name, reason in (
        (tmp_path / "gone.mp4", "there is no such file or folder"),
        (tmp_path / "empty", "there is no picture in it"),
        (tmp_path / "noise.mp4", "OpenCV cannot read it"),
        (1.5, "it gives no frames"),
        (None, "it gives no frames"),
    ):
        with pytest.raises(UserError) as caught:
            open_source(name)  # type: ignore[arg-type]
        assert reason in caught.value.why


def test_a_damaged_picture_is_an_error(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), plain(COLOURS[0]))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:40])
    with pytest.raises(UserError, match="it is damaged"):
        list(Pictures(tmp_path / "a.png"))


def test_a_picture_too_large_for_opencv_is_an_error(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(UserError, match=r"cannot read the picture .*: OpenCV refuses it \(pixels <="):
        list(open_source(tmp_path))


@pytest.mark.parametrize("name", [10**20, -(10**20), 2**31, str(10**20), "9" * 5000, f"/dev/video{10**20}"])
def test_a_number_that_no_camera_has_is_an_error(name: str | int) -> None:
    with pytest.raises(UserError, match=r"cannot (open the source|read) "):
        open_source(name)


def test_without_opencv_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    for name in (0, "rtsp://camera/stream", tmp_path):
        with pytest.raises(UserError, match=r"Pip install npuface\[camera\]"):
            open_source(name)
    assert_colours(open_source(map(plain, COLOURS)), 3)
