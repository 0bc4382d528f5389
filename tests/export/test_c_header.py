"""The C header, compiled, against finish_decode: every host half, layout and type; and what it takes and gives back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_export.c_header import c_header
from npuface_runtime import Crop, UserError, crop_of_box, finish_decode
from npuface_runtime.host_halves import HOST_HALVES, Maps
from npuface_runtime.manifest import Decode, FileInfo, HeatmapInfo, Landmarks, Manifest, Preprocess, TensorInfo
from npuface_runtime.preprocess import normalise

K, HEIGHT, WIDTH = 7, 12, 16
GRID = {"step_x": 16.0, "offset_x": 7.0, "step_y": 23.0, "offset_y": 1.0}
CONFIDENCE = {"ideal_mass": 6.5, "mass_power": 1.3}
BLOCKS = {"block_size": 4.0, "first_centre_x": 1.5, "first_centre_y": 1.5}
CASES: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("coordinates", {}),
    ("moments", GRID),
    ("moments", GRID | {"ideal_mass": 6.5}),
    ("moments", GRID | CONFIDENCE),
    ("sums", GRID | {"ideal_mass": 6.5}),
    ("sums", GRID | CONFIDENCE),
    ("blocks", GRID | CONFIDENCE | BLOCKS),
    ("offset-moments", GRID | CONFIDENCE),
    ("marginals", {"window": 3.0, "ideal_mass": 6.5}),
    ("heatmaps", {"threshold": 0.3}),
    ("heatmap-offset", {}),
    ("classifiers", {"beta": 2.5}),
)
DTYPES = {"float32": None, "int8": (0.04, -11), "uint8": (0.04, 30), "int16": (2e-4, 0), "int32": (1e-6, 5)}
MAIN = """
#include <stdio.h>
#include "model.h"
int main(void)
{
    static npuface_output output[NPUFACE_OUTPUT_VALUES];
    npuface_point points[NPUFACE_POINTS], there;
    float confidence[NPUFACE_POINTS];
    const npuface_crop crop = npuface_crop_of_box(30, 40, 150, 110);
    int k, value, channel;
    if (fread(output, sizeof *output, NPUFACE_OUTPUT_VALUES, stdin) != NPUFACE_OUTPUT_VALUES) return 1;
    npuface_finish(output, points, confidence);
    for (k = 0; k < NPUFACE_POINTS; k++) {
        there = npuface_to_frame(crop, points[k]);
        printf("%.9g %.9g %.9g %.9g %.9g\\n", points[k].x, points[k].y, confidence[k], there.x, there.y);
    }
    for (value = 0; value < 256; value++)
        for (channel = 0; channel < 3; channel++)
            printf("%.9g%c", (double)npuface_input_value((float)value, channel), channel < 2 ? ' ' : '\\n');
    return 0;
}
"""


@pytest.fixture(scope="session")
def compiler() -> str:
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler (cc, gcc or clang) on the path: the header cannot be compiled")
    return found


def manifest_for(finish: str, params: Mapping[str, float], dtype: str = "float32", layout: str = "NCHW") -> Manifest:
    maps = Maps(K, HEIGHT, WIDTH)
    count = HOST_HALVES[finish].values(maps, params)
    planes = finish in ("heatmaps", "heatmap-offset")
    high, wide = (HEIGHT, WIDTH) if planes else (1, 1)
    channels = count // (high * wide)
    shape = (1, channels, high, wide) if layout == "NCHW" else (1, high, wide, channels)
    scale, zero = DTYPES[dtype] or (None, None)
    return Manifest(
        name="test-7",
        target="onnxruntime-cpu",
        engine="onnxruntime",
        precision="int8",
        files={"model": FileInfo("model.onnx", "", 0)},
        input=TensorInfo("picture", (1, 48, 64, 3), "int8", "NHWC", 0.0186, -3),
        outputs=(TensorInfo("out", shape, dtype, layout, scale, zero),),
        preprocess=Preprocess((120.0, 110.0, 100.0), (60.0, 59.0, 58.0), 1.3),
        landmarks=Landmarks("test", K),
        heatmap=HeatmapInfo(HEIGHT, WIDTH, (4.0, 4.0), (1.5, 1.25), "heatmaps"),
        decode=Decode("test", finish, params, 0),
    )


def an_output(info: TensorInfo) -> NDArray[np.generic]:
    """Random values of the output's type, the first and last landmark's mostly at or under zero."""
    rng = np.random.default_rng(len(info.shape) + sum(info.shape))
    real = rng.gamma(1.0, 1.0, info.shape).astype(np.float32) * rng.choice([-0.2, 1.0], info.shape, p=[0.1, 0.9])
    flat = real.reshape(-1)
    flat[:: K * 3] = 0
    if info.scale is None or info.zero_point is None:
        return real.astype(np.float32)
    limits = np.iinfo(info.dtype)
    return np.clip(np.rint(real / info.scale) + info.zero_point, limits.min, limits.max).astype(info.dtype)


def run_c(compiler: str, folder: Path, manifest: Manifest, output: NDArray[np.generic]) -> NDArray[np.float64]:
    """What the compiled header answers: [K, 5] of point, confidence, point in the frame; then [256, 3] inputs."""
    (folder / "model.h").write_text(c_header(manifest))
    (folder / "main.c").write_text(MAIN)
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([compiler, *flags, "main.c", "-o", "run", "-lm"], cwd=folder, check=True)
    said = subprocess.run([folder / "run"], input=output.tobytes(), capture_output=True, check=True).stdout.decode()
    rows = [[float(word) for word in line.split()] for line in said.splitlines()]
    assert np.asarray(rows[K:]).shape == (256, 3)
    np.testing.assert_array_equal(rows[K:], inputs_of(manifest))
    return np.asarray(rows[:K])


def inputs_of(manifest: Manifest) -> NDArray[np.float64]:
    """What enters the network for each pixel value, as the runtime makes it: [256, 3]."""
    values = np.repeat(np.arange(256, dtype=np.float32), 12).reshape(48, 64)
    picture = np.repeat(values[:, :, None], 3, axis=2)
    return np.asarray(normalise(picture, manifest)[0].reshape(-1, 3)[::12], np.float64)


def assert_agrees(compiler: str, folder: Path, manifest: Manifest) -> None:
    output = an_output(manifest.outputs[0])
    points, confidence = finish_decode(manifest, [output])
    said = run_c(compiler, folder, manifest, output)
    np.testing.assert_allclose(said[:, :2], points, atol=2e-3)
    np.testing.assert_allclose(said[:, 2], confidence, rtol=1e-4, atol=1e-5)
    crop = crop_of_box((30.0, 40.0, 150.0, 110.0), manifest.preprocess.margin)
    assert isinstance(crop, Crop)
    np.testing.assert_allclose(said[:, 3:], crop.to_frame(points, manifest.input_shape), atol=5e-3)


@pytest.mark.parametrize(("finish", "params"), CASES)
def test_every_host_half_is_the_same_in_c(
    compiler: str, tmp_path: Path, finish: str, params: Mapping[str, float]
) -> None:
    assert_agrees(compiler, tmp_path, manifest_for(finish, params))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_and_layout_is_read(compiler: str, tmp_path: Path, dtype: str, layout: str) -> None:
    assert_agrees(compiler, tmp_path, manifest_for("heatmaps", {"threshold": 0.3}, dtype, layout))


def test_a_float_input_is_normalised(compiler: str, tmp_path: Path) -> None:
    manifest = manifest_for("moments", GRID | CONFIDENCE)
    picture = TensorInfo("picture", (1, 48, 64, 3), "float32", "NHWC")
    (tmp_path / "model.h").write_text(c_header(replace(manifest, input=picture)))
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "model.h"\n'
        'int main(void) { printf("%.9g", (double)npuface_input_value(200, 1)); return 0; }\n'
    )
    subprocess.run([compiler, "main.c", "-o", "run", "-lm"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "run"], capture_output=True, check=True).stdout
    assert float(said) == pytest.approx((200 - 110) / 59, abs=1e-5)


def test_the_scale_of_confidence_stands_in_it_where_the_decode_has_one() -> None:
    plain = manifest_for("heatmaps", {"threshold": 0.3})
    sure = replace(plain, decode=replace(plain.decode, face_confidence=0.4375))
    assert "#define NPUFACE_FACE_CONFIDENCE 0.4375f\n" in c_header(sure)
    assert "FACE_CONFIDENCE" not in c_header(plain)


def test_no_host_half_is_left_out() -> None:
    assert {finish for finish, _ in CASES} == set(HOST_HALVES)


def test_a_wrong_header_is_caught(compiler: str, tmp_path: Path) -> None:
    manifest = manifest_for("moments", GRID | CONFIDENCE)
    output = an_output(manifest.outputs[0])
    moved = replace(manifest, decode=replace(manifest.decode, params=GRID | CONFIDENCE | {"offset_x": 8.0}))
    points, _ = finish_decode(manifest, [output])
    assert np.abs(run_c(compiler, tmp_path, moved, output)[:, :2] - points).max() > 0.1


def test_a_name_cannot_break_out_of_its_comment() -> None:
    manifest = replace(manifest_for("coordinates", {}), name="a*/ b\n#error c")
    text = c_header(manifest)
    assert "a*/" not in text
    assert "\n#error" not in text
    assert "#ifndef NPUFACE_A___B__ERROR_C_H" in text


def test_what_the_vendors_tool_quantized_by_itself_is_refused() -> None:
    """Sony's tool starts from the float model: the sensor's scales are not the model's."""
    manifest = replace(manifest_for("coordinates", {}), target="sony-imx500")
    assert "Its tensors are those of model.onnx." in c_header(manifest)  # it has not been compiled
    compiled = replace(manifest, files={**manifest.files, "device": FileInfo("device.zip", "", 0)})
    with pytest.raises(UserError, match=r"device\.zip has other tensors than model\.onnx") as refusal:
        c_header(compiled)
    assert "scales and zero points from the vendor's tool" in refusal.value.fix
    c_header(replace(compiled, target="ethos-u55-128"))  # whose compiler keeps the model's


def test_what_has_no_counterpart_in_c_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    half = replace(manifest_for("coordinates", {}), outputs=(TensorInfo("out", (1, 2 * K), "float16", "NCHW"),))
    with pytest.raises(UserError, match="C has no type float16"):
        c_header(half)
    monkeypatch.setattr("npuface_export.c_header._PARTS", {})
    with pytest.raises(UserError, match="cannot write the decode 'coordinates' in C"):
        c_header(manifest_for("coordinates", {}))


def test_nothing_in_a_manifest_becomes_code() -> None:
    manifest = replace(
        manifest_for("moments", GRID | CONFIDENCE | {"points": 1.0, "main": 2.0}),
        precision="int8 */ int injected(void) { return 1; } /*",
    )
    text = c_header(manifest)
    assert text.count("#define NPUFACE_POINTS ") == 1
    assert "NPUFACE_MAIN" not in text
    assert "injected" in text.splitlines()[0]
    assert text.splitlines()[0].count("*/") == 1
