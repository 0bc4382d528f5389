"""Bundles on disk: put in place at once, never half, never over something else."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from npuface_export.bundle import tool_versions, workspace, write_bundle
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess, TensorInfo

MANIFEST = Manifest(
    name="small",
    target="onnxruntime-cpu",
    engine="onnxruntime",
    precision="float32",
    files={},
    input=TensorInfo("pictures", (1, 3, 64, 64), "float32", "NCHW"),
    outputs=(TensorInfo("decoded", (1, 4, 1, 1), "float32", "NCHW"),),
    preprocess=Preprocess((0, 0, 0), (1, 1, 1), 1.3),
    landmarks=Landmarks("test", 2),
    heatmap=HeatmapInfo(16, 16, (4, 4), (1.5, 1.5), "heatmaps"),
    decode=Decode("seed", "coordinates", {}, 16),
)


def write(out: Path, content: str, manifest: Manifest = MANIFEST) -> Manifest:
    with workspace(out) as folder:
        model = folder / "model.onnx"
        model.write_text(content)
        return write_bundle(out, folder, manifest, {"model": model})


def test_a_bundle_opens_again(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "bundle"
    written = write(out, "first")
    assert Manifest.load(out) == written
    assert written.file(out, "model").read_text() == "first"
    assert list(out.parent.iterdir()) == [out]


def test_replacing_takes_away_the_old_files_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    old = write(out, "first").files["model"].path
    (out / "face.png").write_text("the user's own")
    new = write(out, "second", replace(MANIFEST, name="other")).files["model"].path
    assert {path.name for path in out.iterdir()} == {"manifest.json", "face.png", new}
    assert old != new
    assert Manifest.load(out).name == "other"


def test_a_failure_leaves_the_old_bundle(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    write(out, "first")

    def stop_half_way() -> None:
        with workspace(out) as folder:
            (folder / "model.onnx").write_text("second")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        stop_half_way()
    assert Manifest.load(out).file(out, "model").read_text() == "first"
    assert list(tmp_path.iterdir()) == [out]


def test_a_damaged_bundle_can_be_replaced(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    write(out, "first")
    (out / "manifest.json").write_text('{"format": "npuface-bundle", "version": 1, "nonsense": 1}')
    assert write(out, "second") == Manifest.load(out)


@pytest.mark.parametrize("name", ["folder", "file"])
def test_something_else_is_not_overwritten(name: str, tmp_path: Path) -> None:
    out = tmp_path / name
    kept = out
    if name == "folder":
        out.mkdir()
        kept = out / "thesis.tex"
    kept.write_text("years of work")
    with pytest.raises(UserError, match="something other than a bundle is there"):
        write(out, "first")
    assert kept.read_text() == "years of work"


def test_an_empty_folder_becomes_the_bundle(tmp_path: Path) -> None:
    assert write(tmp_path, "first") == Manifest.load(tmp_path)


def test_a_folder_that_cannot_be_written_is_a_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the bundle"):
        write(tmp_path / "file" / "bundle", "first")


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_bundle import write
from npuface_runtime.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write(Path({out!r}), "x" * 1_000_000)
except UserError as error:
    print(error.what, "/", error.why)
"""


@pytest.mark.parametrize("replacing", [False, True])
def test_a_full_disk_leaves_nothing_half(replacing: bool, tmp_path: Path) -> None:
    """The limit on file size stands for the full disk: a write fails in the middle of the file."""
    out = tmp_path / "bundle"
    if replacing:
        write(out, "first")
    script = FULL_DISK.format(tests=str(Path(__file__).parent), out=str(out))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.stdout == f"cannot write the bundle {out} / File too large\n", done.stderr
    assert list(tmp_path.iterdir()) == ([out] if replacing else [])
    if replacing:
        assert Manifest.load(out).file(out, "model").read_text() == "first"


def test_versions_are_those_installed() -> None:
    assert set(tool_versions(("onnx",))) == {"npuface", "numpy", "onnx", "torch"}


def test_a_file_missing_elsewhere_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), workspace(tmp_path / "bundle"):
        open("/no/such/compiler")  # noqa: PTH123, SIM115
    with pytest.raises(UserError, match="Check the disk"), workspace(tmp_path / "bundle") as folder:
        (folder / "gone" / "model.onnx").write_text("")
    with pytest.raises(UserError, match="No space left"), workspace(tmp_path / "bundle"):
        raise OSError(errno.ENOSPC, "No space left on device")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Check the disk"), workspace(tmp_path / "file" / "bundle"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_old_manifest_that_names_itself_takes_nothing_away(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    write(out, "first")
    raw = json.loads((out / "manifest.json").read_text())
    raw["files"]["weights"] = {"path": "manifest.json", "sha256": "0" * 64, "bytes": 1}
    (out / "manifest.json").write_text(json.dumps(raw))
    written = write(out, "second")
    assert Manifest.load(out) == written


@pytest.mark.parametrize("precision", ["{}/by-precision", "../by-precision"])
def test_no_name_of_a_manifest_leads_out_of_a_bundle(precision: str, tmp_path: Path) -> None:
    """Names from closed lists alone become names of files, whoever made the manifest."""
    manifest = replace(MANIFEST, precision=precision.format(tmp_path))
    with pytest.raises(ValueError, match="would be packed as"):
        write(tmp_path / "bundle", "first", manifest)
    assert not list(tmp_path.iterdir())
