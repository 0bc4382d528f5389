"""The wheel holds what it must, and on a machine with numpy and LiteRT alone its runtime runs a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from npuface_export.decode import form_by_name
from npuface_export.export import export_bundle
from npuface_export.network import Network
from npuface_export.target import target_by_name
from npuface_toolkit.student import STRIDE, HeatmapNetwork, Student, StudentConfig

ROOT = Path(__file__).parent.parent
PACKAGES = {top: f"npuface_{top}" for top in ("toolkit", "export", "runtime", "benchmarks")}
SERVER_ONLY = ("torch", "onnx", "onnxruntime", "openvino", "cv2", "scipy", "skimage", "typer", "rich", "safetensors")
SIZE = 64
TOLERANCE = 1e-3
"""Input pixels, between LiteRT in float and torch."""

RUN_THE_BUNDLE = """
import json, sys, time
start = time.perf_counter()
import npuface_runtime as nr
seconds = time.perf_counter() - start
loaded = [name for name in ("ai_edge_litert", "cv2") if name in sys.modules]
import importlib.util, numpy as np
frame = np.load(sys.argv[2])
manifest = nr.Manifest.load(sys.argv[1])
files = {"model": manifest.file(sys.argv[1], "model")}
with nr.open_session(manifest.engine, files, 1) as session:
    height, width = manifest.input_shape
    crop = nr.Crop((width - 1) / 2, (height - 1) / 2, min(height, width))
    picture = nr.prepare(frame, crop, manifest)
    points, confidence = nr.finish_decode(manifest, session.run(picture))
    engine = session.description

class WholeFrame:
    def detect(self, frame):
        return [nr.Detection((0.0, 0.0, frame.shape[1] - 1.0, frame.shape[0] - 1.0), 1.0)]
    def to_landmark_box(self, box):
        return box
    def close(self):
        pass

with nr.FaceAligner(sys.argv[1], detector=WholeFrame()) as aligner:
    faces = aligner.align(frame)
try:
    nr.FaceAligner(sys.argv[1], detector="cascade")
    refusal = None
except nr.UserError as error:
    refusal = error.as_json()["error"]
present = [name for name in json.loads(sys.argv[3]) if importlib.util.find_spec(name)]
print(json.dumps({
    "seconds": seconds, "loaded": loaded, "present": present, "engine": engine, "points": points.tolist(),
    "confidence": confidence.tolist(), "aligned": [len(face.landmarks) for face in faces], "refusal": refusal,
    "home": nr.__file__,
}))
"""


def pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """This environment's pip, at work in another one."""
    command = [sys.executable, "-m", "pip", "--python", str(python), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("npuface-*.whl"))


@pytest.fixture(scope="session")
def camera(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with npuface[litert] in it and nothing else."""
    folder = tmp_path_factory.mktemp("camera") / "env"
    venv.create(folder)
    python = folder / "bin" / "python"
    install = ("install", "--quiet", "--no-compile", "-c", str(ROOT / "constraints.txt"))
    reached = pip(python, *install, "numpy")
    if reached.returncode:
        pytest.skip(f"pip cannot get numpy here: {reached.stderr.strip().splitlines()[-1:]}")
    done = pip(python, *install, f"npuface[litert] @ {wheel.as_uri()}")
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(scope="session")
def network() -> Network:
    """A student with random weights, small enough to convert in seconds."""
    torch.manual_seed(0)
    config = StudentConfig(input_size=SIZE, points=68, boundaries=13, width=0.25, depth=1)
    module = HeatmapNetwork(Student(config)).eval()
    gray = (127.5, 127.5, 127.5)
    cells, middle = (SIZE // STRIDE,) * 2, ((STRIDE - 1) / 2,) * 2
    where = ((SIZE, SIZE), cells, (STRIDE, STRIDE), middle)
    return Network("tiny", module, *where, 68, "ibug-68", gray, gray, 1.3, threshold=0.3, beta=20, sigma=1.5)


@pytest.fixture(scope="session")
def bundle(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    export_bundle(network, target_by_name("litert-cpu"), folder, form="relative-threshold")
    return folder


def closure(requirement: str) -> set[str]:
    """The distributions that a requirement brings, itself included, by what is installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(requirement)]
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            key = (canonicalize_name(wanted.name), extra)
            if key not in found:
                found.add(key)
                needs = (Requirement(line) for line in requires(wanted.name) or [])
                waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def test_wheel_holds_the_four_packages_with_their_data_and_no_tests(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == set(PACKAGES.values())
    source = {
        str(path.relative_to(ROOT / top))
        for top, package in PACKAGES.items()
        for path in (ROOT / top / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == source
    for package in PACKAGES.values():
        assert f"{package}/py.typed" in names
    data = {
        "npuface_benchmarks/templates/report.html.j2",
        "npuface_export/targets/litert-cpu.toml",
        "npuface_toolkit/configs/student-68.toml",
        "npuface_toolkit/weights/student-68.safetensors",
    }
    assert data <= names
    assert not [name for name in names if "test" in Path(name).name]


def test_wheel_metadata_names_the_command_and_the_extras(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    info = next(name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name)
    assert "npuface = npuface_toolkit.__main__:main" in archive.read(f"{info}/entry_points.txt").decode()
    metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    extras = set(metadata.get_all("Provides-Extra") or [])
    assert {"onnxruntime", "openvino", "litert", "tflite", "camera", "export", "train", "dev"} <= extras
    plain = [line for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line]
    assert [canonicalize_name(Requirement(line).name) for line in plain] == ["numpy"]
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


def test_a_camera_gets_numpy_and_litert_and_no_more(camera: Path) -> None:
    listed = json.loads(pip(camera, "list", "--format", "json").stdout)
    installed = {canonicalize_name(row["name"]) for row in listed}
    assert installed == {"npuface"} | closure("numpy") | closure("ai-edge-litert")
    assert not installed & {"torch", "onnx", "opencv-python-headless", "typer"}


def test_on_a_camera_the_command_says_what_it_needs(camera: Path) -> None:
    done = subprocess.run([camera.parent / "npuface", "track", "bundle", "film.avi"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "  fix: pip install 'npuface[export]'"


def test_the_closure_of_a_requirement_follows_extras() -> None:
    assert closure("numpy") == {"numpy"}
    assert "torch" in closure("npuface[export]")
    assert "torch" not in closure("npuface[litert]")


def test_a_camera_runs_a_bundle(
    camera: Path, bundle: Path, network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    np.save(tmp_path / "frame.npy", frame)
    arguments = [RUN_THE_BUNDLE, str(bundle), str(tmp_path / "frame.npy"), json.dumps(SERVER_ONLY)]
    done = subprocess.run([str(camera), "-I", "-c", *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)

    assert Path(result["home"]).is_relative_to(camera.parent.parent)
    assert result["loaded"] == [], "importing npuface_runtime must not import an engine or OpenCV"
    assert result["present"] == []
    assert result["engine"].startswith("LiteRT")
    assert result["aligned"] == [68]
    assert result["refusal"]["fix"] == "pip install npuface[camera]"

    picture = (torch.from_numpy(frame).permute(2, 0, 1)[None].float() - 127.5) / 127.5
    with torch.no_grad():
        heatmaps = network.module(picture)
    cells = form_by_name("relative-threshold").points(heatmaps, network.spec)[0].numpy()
    seen = heatmaps[0].amax(dim=(1, 2)).numpy() > 0.01 * float(heatmaps.abs().max())
    assert seen.sum() > 10
    expected = (cells + 0.5) * STRIDE - 0.5
    np.testing.assert_allclose(np.array(result["points"])[seen], expected[seen], atol=TOLERANCE)
    with capsys.disabled():
        print(f"\nnpuface_runtime imports in {result['seconds']:.2f} s on {result['engine']}")
