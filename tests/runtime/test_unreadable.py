"""Paths that the system does not let us look at: an answer in its words, wherever they are given."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import write_manifest

from npuface_runtime import FaceAligner, Manifest, UserError, install_bundle, open_detector, open_session, open_source
from npuface_runtime.manifest import FILE_NAME

LONG = "x" * 300
OPENERS: dict[str, Callable[[Path], object]] = {
    "bundle": Manifest.load,
    "aligner": FaceAligner,
    "detector": open_detector,
    "model": lambda path: open_session("onnxruntime", {"model": path}),
    "source": open_source,
}
each_opener = pytest.mark.parametrize("opener", OPENERS)


@each_opener
def test_a_name_that_is_too_long_is_refused(tmp_path: Path, opener: str) -> None:
    with pytest.raises(UserError, match=r"cannot read .*: File name too long"):
        OPENERS[opener](tmp_path / LONG)


@each_opener
def test_a_path_that_may_not_be_seen_is_refused(tmp_path: Path, opener: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(UserError, match=r"cannot read .*: Permission denied"):
        OPENERS[opener](tmp_path)


def test_a_folder_of_pictures_that_may_not_be_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UserError, match=r"cannot read .*: Permission denied"):
        open_source(tmp_path)


def test_a_file_name_that_is_no_text_is_refused(onnx_bundle: Path, tmp_path: Path) -> None:
    raw = json.loads((onnx_bundle / FILE_NAME).read_text())
    raw["files"]["model"]["path"] = "\ud800.onnx"
    write_manifest(tmp_path, raw)
    with pytest.raises(UserError, match="is no text") as caught:
        FaceAligner(tmp_path)
    assert str(caught.value).isascii(), "a terminal can show it"


@pytest.mark.parametrize("noted", ["5", "null", '"abc"', '{"dots-9.onnx": 1}', "[" * 100_000, "\xff"])
def test_a_note_of_replaced_files_that_is_none_is_passed_over(onnx_bundle: Path, tmp_path: Path, noted: str) -> None:
    (tmp_path / ".replaced.json").write_text(noted, encoding="latin-1")
    (tmp_path / "dots-9.onnx").write_bytes(b"somebody's")
    assert install_bundle(onnx_bundle, tmp_path).name == "dots"
    assert (tmp_path / "dots-9.onnx").is_file()


@pytest.mark.parametrize("name", ["a\0b", "\ud800", LONG])
def test_a_place_that_can_have_no_file_is_refused(onnx_bundle: Path, tmp_path: Path, name: str) -> None:
    bundle = shutil.copytree(onnx_bundle, tmp_path / "bundle")
    with pytest.raises(UserError, match="cannot install the bundle in"):
        install_bundle(bundle, tmp_path / name)
