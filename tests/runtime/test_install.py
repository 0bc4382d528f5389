"""A bundle takes the place of another in one step, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import write_manifest

from npuface_runtime import FaceAligner, Manifest, UserError, install_bundle
from npuface_runtime.manifest import FILE_NAME, sha256_of

OWN = {".replaced.json", "notes.txt"}


def version_of(onnx_bundle: Path, folder: Path, name: str) -> Path:
    """A bundle like `onnx_bundle` under another name, its model file named by its content and some padding."""
    folder.mkdir()
    source = Manifest.load(onnx_bundle)
    model = folder / f"{name}.onnx"
    shutil.copy(onnx_bundle / source.files["model"].path, model)
    info = replace(source.files["model"], path=model.name)
    write_manifest(folder, replace(source, name=name, files={"model": info}).as_json())
    return folder


@pytest.fixture
def versions(onnx_bundle: Path, tmp_path: Path) -> list[Path]:
    return [version_of(onnx_bundle, tmp_path / f"v{i}", f"dots-{i}") for i in range(3)]


def names(place: Path) -> set[str]:
    return {file.name for file in place.iterdir()}


def test_a_bundle_is_installed_and_replaced(versions: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "models" / "current"
    place.mkdir(parents=True)
    (place / "notes.txt").write_text("mine")
    for i, bundle in enumerate(versions):
        assert install_bundle(bundle, place).name == f"dots-{i}"
        assert Manifest.load(place).name == f"dots-{i}"
        with FaceAligner(place) as aligner:
            assert aligner.manifest.name == f"dots-{i}"
        before = {f"dots-{i - 1}.onnx"} if i else set()
        assert names(place) - OWN == {FILE_NAME, f"dots-{i}.onnx"} | before, "the bundle before stays openable"
    assert install_bundle(versions[2], place).name == "dots-2", "once more is harmless"


def test_who_read_the_old_manifest_can_still_open_its_files(versions: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "current"
    install_bundle(versions[0], place)
    old = Manifest.load(place)
    install_bundle(versions[1], place)
    assert old.file(place, "model").is_file()


@pytest.mark.parametrize("step", range(4))
def test_a_cut_at_any_step_leaves_the_old_bundle_or_the_new_one(
    versions: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    place, calls = tmp_path / "current", iter(range(100))
    install_bundle(versions[0], place)

    def cut(name: str, real: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if next(calls) == step:
                raise KeyboardInterrupt
            return real(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", cut("fsync", os.fsync))
        patch.setattr(Path, "replace", cut("replace", Path.replace))
        with pytest.raises(KeyboardInterrupt):
            install_bundle(versions[1], place)
    with FaceAligner(place) as aligner:
        assert aligner.manifest.name == "dots-0"
    assert not [name for name in names(place) if name.endswith(".part")]
    install_bundle(versions[1], place)
    install_bundle(versions[2], place)
    assert Manifest.load(place).name == "dots-2"
    assert names(place) - OWN == {FILE_NAME, "dots-1.onnx", "dots-2.onnx"}


def test_what_a_loss_of_power_left_is_removed(versions: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "current"
    place.mkdir()
    (place / ".dots-0.onnx.abc.part").write_bytes(b"half")
    (place / ".replaced.json").write_text('["../escape", "manifest.json", 7, "dots-9.onnx"]')
    (tmp_path / "escape").write_text("not in the folder")
    (place / "dots-9.onnx").write_bytes(b"old")
    install_bundle(versions[0], place)
    assert names(place) - OWN == {FILE_NAME, "dots-0.onnx"}
    assert (tmp_path / "escape").is_file()


def test_what_does_not_run_is_not_installed(versions: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "current"
    install_bundle(versions[0], place)
    broken = versions[1] / "dots-1.onnx"
    broken.write_bytes(b"not a model")
    manifest = Manifest.load(versions[1])
    info = replace(manifest.files["model"], sha256=sha256_of(broken), bytes=11)
    write_manifest(versions[1], replace(manifest, files={"model": info}).as_json())
    with pytest.raises(UserError, match="ONNX Runtime cannot open"):
        install_bundle(versions[1], place)
    assert Manifest.load(place).name == "dots-0"
    with pytest.raises(UserError, match="there is no manifest"):
        install_bundle(tmp_path, place)


def test_a_file_in_use_is_not_overwritten(versions: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "current"
    install_bundle(versions[0], place)
    (place / "dots-1.onnx").write_bytes(b"somebody's")
    with pytest.raises(UserError, match=r"another dots-1.onnx is there"):
        install_bundle(versions[1], place)
    assert (place / "dots-1.onnx").read_bytes() == b"somebody's"


def test_a_place_that_cannot_be_written_is_an_error(versions: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="cannot install the bundle"):
        install_bundle(versions[0], tmp_path / "file")


def test_a_damaged_bundle_is_replaced(versions: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "current"
    install_bundle(versions[0], place)
    (place / FILE_NAME).write_text(json.dumps({"format": "?"}))
    install_bundle(versions[1], place)
    assert Manifest.load(place).name == "dots-1"
