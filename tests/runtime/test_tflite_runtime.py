"""The litert engine where only tflite-runtime is installed: an environment of its own, with numpy < 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import SIZE, reference

from npuface_runtime.engines import open_session

REQUIREMENTS = ("numpy<2", "tflite-runtime==2.14.0")
RUNTIME = Path(__file__).parents[2] / "runtime"
CONTRACT = """
import sys
import numpy as np
from npuface_runtime import UserError, open_session
folder, *models = sys.argv[1:]
print(np.__version__)
for n, model in enumerate(models):
    picture = np.load(f"{folder}/picture_{n}.npy")
    for threads in (1, 2):
        with open_session("litert", {"model": model}, threads) as session:
            print(session.description)
            for name, array in zip(("maps", "sums"), session.run(picture)):
                np.save(f"{folder}/{n}_{threads}_{name}.npy", array)
            names = [spec.name for spec in session.outputs]
            for bad in (picture[:, :, 1:], picture.astype(np.float64)):
                try:
                    session.run(bad)
                except UserError as error:
                    print("refused:", error.why)
        with open_session("litert", {"model": model}, threads, names[::-1]) as session:
            assert [spec.name for spec in session.outputs] == names[::-1]
            assert session.run(picture)[1].shape == (1, 2, 16, 16)
try:
    open_session("litert", {"model": __file__})
except UserError as error:
    print(error.what)
"""


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with tflite-runtime and without LiteRT."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("tflite-runtime has its last wheels for Python 3.11")
    folder = tmp_path_factory.mktemp("tflite") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    done = subprocess.run([*install, *REQUIREMENTS], capture_output=True, text=True, check=False)
    if done.returncode and "Could not find a version" in done.stderr:
        pytest.skip(f"pip cannot reach an index that has {REQUIREMENTS[1]}")
    assert done.returncode == 0, done.stderr
    return python


def test_the_engine_contract_holds_on_tflite_runtime(
    other_python: Path, models: dict[str, dict[str, Path]], int8_tflite: Path, tmp_path: Path
) -> None:
    picture = np.random.default_rng(3).random((1, 3, SIZE, SIZE), np.float32)
    stored = np.rint(picture * 255 - 128).astype(np.int8)
    np.save(tmp_path / "picture_0.npy", picture)
    np.save(tmp_path / "picture_1.npy", stored)
    (tmp_path / "contract.py").write_text(CONTRACT)
    float_model = models["litert"]["model"]
    done = subprocess.run(
        [other_python, tmp_path / "contract.py", tmp_path, float_model, int8_tflite],
        env={"PYTHONPATH": str(RUNTIME)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("1."), "numpy < 2"
    assert lines.count("TFLite 2.14.0 (tflite-runtime), CPU, threads: 1") == 2
    assert lines.count("refused: its shape is (1, 3, 63, 64), the model takes (1, 3, 64, 64)") == 4
    assert lines.count("refused: it is float64, the model takes float32") == 2
    assert lines.count("refused: it is float64, the model takes int8") == 2
    assert lines[-1].startswith("TFLite cannot open")
    for threads in (1, 2):
        for name, expected in zip(("maps", "sums"), reference(picture), strict=True):
            np.testing.assert_allclose(np.load(tmp_path / f"0_{threads}_{name}.npy"), expected, atol=1e-5, rtol=1e-5)
    with open_session("litert", {"model": int8_tflite}) as session:
        for name, here in zip(("maps", "sums"), session.run(stored), strict=True):
            there = np.load(tmp_path / f"1_1_{name}.npy")
            assert there.dtype == here.dtype == np.int8
            assert np.abs(there.astype(int) - here).max() <= 1, "one step of rounding"
