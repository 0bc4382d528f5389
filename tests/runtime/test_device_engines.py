"""Device engines: what runs on a device, and what users are told where it is not on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
import pytest
from tiny_models import SIZE, reference, write_bundle

from npuface_export.target import targets
from npuface_runtime.bundle import open_bundle
from npuface_runtime.devices import DEVICES, open_device, tflite_delegate
from npuface_runtime.engines import open_session
from npuface_runtime.engines.litert import open_on
from npuface_runtime.errors import UserError
from npuface_runtime.install import install_bundle
from npuface_runtime.manifest import DeviceEngine, Manifest

Models = dict[str, dict[str, Path]]
PICTURE = np.random.default_rng(0).random((1, 3, SIZE, SIZE), np.float32)


def bundle_for(
    device: DeviceEngine | None, engine: str, files: dict[str, Path], folder: Path, compiled: Path | None = None
) -> Path:
    """A bundle of the `dots` network for a device, with what a vendor's compiler made of it."""
    with open_session(engine, files) as session:
        maps = next(spec for spec in session.outputs if spec.shape[-1] > 1)
        packed = files if compiled is None else {**files, "device": compiled}
        return write_bundle(folder / "bundle", engine, packed, session.input, maps, device=device, target="a board")


def on_openvino(models: Models, folder: Path, device: str, compiled: Path | None = None) -> Path:
    return bundle_for(DeviceEngine("openvino", {"device": device}), "openvino", models["openvino"], folder, compiled)


def on_delegate(models: Models, folder: Path, library: str, is_compiled: bool = True) -> Path:
    files, device = models["litert"], DeviceEngine("tflite_delegate", {"delegate": library})
    return bundle_for(device, "litert", files, folder, files["model"] if is_compiled else None)


def refusal(bundle: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_bundle(bundle, on="device")
    return str(caught.value)


def test_openvino_runs_the_model_on_the_device_that_the_manifest_names(models: Models, tmp_path: Path) -> None:
    _, session = open_bundle(on_openvino(models, tmp_path, "CPU"), on="device")
    with session:
        (maps,) = session.run(PICTURE)
        assert session.description.endswith(", CPU")
    np.testing.assert_allclose(maps, reference(PICTURE)[0], atol=0.01)  # the device chooses its float type


def test_openvino_opens_what_a_compiler_made_and_not_the_model_beside_it(models: Models, tmp_path: Path) -> None:
    blob, other = tmp_path / "device.blob", tmp_path / "other"
    core = openvino.Core()
    exported = core.compile_model(str(models["openvino"]["model"]), "CPU").export_model().getvalue()
    blob.write_bytes(exported)
    bundle = on_openvino(models, tmp_path, "CPU", blob)
    manifest = Manifest.load(bundle)
    other.mkdir()
    (other / "device.blob").write_bytes(exported)
    with open_device(manifest, {"device": other / "device.blob"}) as session:  # no model file at all
        (maps,) = session.run(PICTURE)
    np.testing.assert_allclose(maps, reference(PICTURE)[0], atol=0.01)
    (other / "device.blob").write_bytes(exported[: len(exported) // 2])
    with pytest.raises(UserError, match=r"OpenVINO's CPU device cannot open .*device\.blob"):
        open_device(manifest, {"device": other / "device.blob"})


def test_a_board_installs_what_its_device_runs_without_the_engine_of_the_host(models: Models, tmp_path: Path) -> None:
    blob, unknown = tmp_path / "device.blob", tmp_path / "model.onnx"
    model = openvino.Core().compile_model(str(models["openvino"]["model"]), "CPU")
    blob.write_bytes(model.export_model().getvalue())
    unknown.write_text("for an engine that this board lacks")
    device = DeviceEngine("openvino", {"device": "CPU"})
    with open_session("openvino", models["openvino"]) as session:
        maps = next(spec for spec in session.outputs if spec.shape[-1] > 1)
        files = {"model": unknown, "device": blob}
        bundle = write_bundle(tmp_path / "bundle", "onnxruntime", files, session.input, maps, device=device)
    with pytest.raises(UserError):
        install_bundle(bundle, tmp_path / "place")
    assert not (tmp_path / "place").exists()
    install_bundle(bundle, tmp_path / "place", on="device")
    _, session = open_bundle(tmp_path / "place", on="device")
    with session:
        np.testing.assert_allclose(session.run(PICTURE)[0], reference(PICTURE)[0], atol=0.01)


@pytest.mark.parametrize("device", ["NPU", "GPU"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(device: str, models: Models, tmp_path: Path) -> None:
    present = openvino.Core().available_devices
    if any(found.startswith(device) for found in present):
        pytest.skip(f"this machine has OpenVINO's {device}")
    message = refusal(on_openvino(models, tmp_path, device))
    assert "cannot run dots on a board" in message
    assert f"no device '{device}' on this machine, it has {', '.join(present)}" in message
    assert "driver" in message


@pytest.mark.parametrize("device", ["AUTO", "AUTO:CPU", "HETERO:NPU,CPU", "MULTI:CPU", "BATCH:CPU", ""])
def test_no_virtual_device_may_share_the_model_with_the_cpu(device: str, models: Models, tmp_path: Path) -> None:
    assert f"no device {device!r}" in refusal(on_openvino(models, tmp_path, device))


def test_a_delegate_that_is_not_there_is_refused(
    models: Models, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = on_delegate(models, tmp_path, "libethosu_delegate.so")
    capfd.readouterr()
    message = refusal(bundle)
    assert "cannot run dots on a board" in message
    assert "libethosu_delegate.so: cannot open shared object file" in message
    assert "Run it on the device" in message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "library", ["/usr/lib/libethosu_delegate.so", "../other/libethosu_delegate.so", "", "libc.so.6", "libevil.so"]
)
def test_a_bundle_loads_no_library_but_a_known_delegate(
    library: str, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To load a library runs its code, so what is not known is not loaded to see what it is."""
    loaded: list[str] = []
    monkeypatch.setattr(tflite_delegate.ctypes, "CDLL", loaded.append)
    message = refusal(on_delegate(models, tmp_path, library))
    assert f"its bundle names the delegate {library!r}" in message
    assert "may name libethosu_delegate.so" in message
    assert loaded == []


def test_every_target_names_an_engine_and_a_delegate_that_the_runtime_knows() -> None:
    named = [target.device for target in targets().values() if target.device]
    assert {device.engine for device in named} == set(DEVICES)
    delegates = {device.options["delegate"] for device in named if device.engine == "tflite_delegate"}
    assert delegates == set(tflite_delegate._DELEGATES)


def test_a_model_that_was_not_compiled_does_not_run_on_the_cpu_in_place_of_the_npu(
    models: Models, tmp_path: Path
) -> None:
    message = refusal(on_delegate(models, tmp_path, "libethosu_delegate.so", is_compiled=False))
    assert "has not been compiled" in message
    assert "npuface quantize" in message


def test_what_vela_compiled_does_not_open_without_its_delegate(int8_tflite: Path, tmp_path: Path) -> None:
    from npuface_export.compilers import compiler_by_name
    from npuface_export.target import target_by_name

    target = target_by_name("ethos-u65-256")
    assert target.device == DeviceEngine("tflite_delegate", {"delegate": "libethosu_delegate.so"})
    compiled = compiler_by_name("vela").compile(int8_tflite, target, tmp_path).artifact
    with pytest.raises(UserError, match="ethos-u"):
        open_on({"model": compiled}, 1, None, (), "CPU")
    with open_on({"model": int8_tflite}, 1, None, (), "CPU") as session:  # the same model before vela
        assert len(session.run(np.zeros((1, 3, SIZE, SIZE), np.int8))) == 2
