"""Strictness: what an NPU bundle leaves to the CPU fails the command unless it is allowed, and explain says why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_models import DRAWN_SPEC, STRIDE, new_folder, quantized_model

from npuface_export.bundle import bytes_out, workspace, write_bundle
from npuface_export.compile import APART, _entering, cpu_refusals, oracle_refusal
from npuface_export.decode import form_by_name
from npuface_export.target import target_by_name
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess
from npuface_toolkit.cli import main
from npuface_toolkit.cli.bundles import check_placement
from npuface_toolkit.cli.console import CheckFailedError

FORM = form_by_name("relative-threshold")
ON_THE_CPU = ("CONCATENATION", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "MAX_POOL_2D", "MUL", "SUB")


def bundle(decode: str) -> Path:
    """An INT8 bundle for the Ethos-U55 that no compiler has seen, its decode in that type."""
    model = quantized_model("relative-threshold", decode)
    out = new_folder() / "bundle"
    manifest = Manifest(
        name="drawn",
        target="ethos-u55-128",
        engine="litert",
        precision="int8",
        files={},
        input=model.input,
        outputs=model.outputs,
        preprocess=Preprocess((0.0,) * 3, (1.0,) * 3, 1.0),
        landmarks=Landmarks("test", DRAWN_SPEC.points),
        heatmap=HeatmapInfo(
            DRAWN_SPEC.height, DRAWN_SPEC.width, (STRIDE, STRIDE), ((STRIDE - 1) / 2,) * 2, model.heatmap
        ),
        decode=Decode(FORM.name, FORM.finish, FORM.finish_params(DRAWN_SPEC), bytes_out(model)),
    )
    with workspace(out) as folder:
        write_bundle(out, folder, manifest, model.files)
    return out


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON on stdout, and stderr in one line."""
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--json"])
    out = capfd.readouterr()
    return int(str(caught.value.code)), json.loads(out.out), " ".join(out.err.split())


def test_an_operator_on_the_cpu_fails_the_command_and_the_bundle_is_written(
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = str(bundle("float32"))
    code, data, errors = run(capfd, "compile", folder)
    assert code == 1
    assert "check failed: 1 CONCATENATION on the CPU: " in errors
    assert "unsupported DataType Float32" in errors
    assert data["placement"]["cpu"] == 12
    assert (data["placement"]["body"], data["placement"]["decode"]) == ({"npu": 2, "cpu": 0}, {"npu": 0, "cpu": 12})
    code, explained, _ = run(capfd, "explain", folder)
    assert code == 0
    assert explained["placement"] == data["placement"]
    allowed = [part for name in ON_THE_CPU for part in ("--allow-cpu", name)]
    assert run(capfd, "compile", folder, *allowed)[0] == 0
    code, _, errors = run(capfd, "compile", folder, *allowed[2:])
    assert code == 1
    assert "1 CONCATENATION on the CPU" in errors
    assert "MAX_POOL_2D" not in errors


def test_nothing_on_the_cpu_passes_and_explain_shows_the_choice(capfd: pytest.CaptureFixture[str]) -> None:
    folder = str(bundle("int16"))
    code, data, _ = run(capfd, "compile", folder)
    assert (code, data["placement"]["cpu"], data["placement"]["reasons"]) == (0, 0, [])
    forms = run(capfd, "explain", folder)[1]["forms"]
    verdicts = {form["form"]: form["verdict"] for form in forms}
    assert verdicts["relative-threshold"] == "taken"
    assert verdicts["seed"] == "costs more"
    assert [form["cost"] for form in forms] == sorted(form["cost"] for form in forms)
    with pytest.raises(SystemExit):
        main(["explain", folder])
    shown = capfd.readouterr().out
    assert "placement: decode" in shown
    assert "Decode forms, the cheapest first" in shown


def test_a_cpu_engine_and_a_float_bundle_are_not_held_to_it() -> None:
    manifest = Manifest.load(bundle("float32"))
    assert cpu_refusals(manifest) == []


def test_a_bundle_is_compiled_for_another_chip_of_the_same_kind(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, out = str(bundle("int16")), tmp_path / "u55-256"
    code, data, _ = run(capfd, "compile", folder, "--target", "ethos-u55-256", "--out", str(out))
    assert (code, data["target"], data["placement"]["cpu"]) == (0, "ethos-u55-256", 0)
    assert Manifest.load(out).target == "ethos-u55-256"
    assert Manifest.load(folder).target == "ethos-u55-128"
    code, data, _ = run(capfd, "compile", folder, "--target", "qualcomm-htp-v75", "--out", str(tmp_path / "no"))
    assert code == 2
    assert data["error"]["why"] == "ethos-u55-128 and qualcomm-htp-v75 take different model files"
    assert not (tmp_path / "no").exists()


def test_every_operator_stands_in_the_manifest_with_what_it_reads(capfd: pytest.CaptureFixture[str]) -> None:
    folder = bundle("float32")
    run(capfd, "compile", str(folder))
    placement = Manifest.load(folder).placement
    assert placement is not None
    operators = placement["operators"]
    assert len(operators) == placement["npu"] + placement["cpu"]
    assert [i for i, op in enumerate(operators) if not op["reads"]] == [0], "only the first reads the picture"
    assert all(source < i for i, op in enumerate(operators) for source in op["reads"])
    on_cpu = [op for op in operators if op["device"] == "cpu"]
    assert {op["part"] for op in on_cpu} == {"decode"}
    assert sorted({op["operator"] for op in on_cpu}) == placement["cpu_operators"]


@pytest.mark.parametrize(("apart", "contradicts"), [(None, False), (APART + 0.04, False), (APART + 0.05, True)])
def test_an_emulator_that_contradicts_the_bundles_model_fails_the_command(
    apart: float | None, contradicts: bool
) -> None:
    shift = {"mean_px": 0.04, "max_px": 0.5, "faces": 3, "oracle": "the emulator"}
    extra = {} if apart is None else {"from_stand_in_px": apart, "stand_in_px": 0.04}
    manifest = replace(Manifest.load(bundle("float32")), coordinate_shift={**shift, **extra})
    refusal = oracle_refusal(manifest)
    assert (refusal is not None) == contradicts
    if contradicts:
        assert str(refusal).startswith("the emulator puts the landmarks 0.30 heatmap px from")
        with pytest.raises(CheckFailedError, match="computes something else than the model"):
            check_placement(manifest, None)
    else:
        check_placement(manifest, None)


def test_an_int8_bundle_is_not_for_a_target_that_computes_in_float(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, data, _ = run(capfd, "compile", str(bundle("int16")), "--target", "apple-ane", "--out", str(tmp_path / "no"))
    assert code == 2
    assert data["error"]["why"] == "ethos-u55-128 and apple-ane take different model files"


def test_a_record_without_reasons_still_fails_the_command() -> None:
    placement = {"npu": 9, "cpu": 1, "cpu_operators": ["SOFTMAX"]}
    manifest = replace(Manifest.load(bundle("float32")), placement=placement)
    assert cpu_refusals(manifest) == ["some SOFTMAX on the CPU: no reason given"]
    assert cpu_refusals(manifest, ["SOFTMAX"]) == []


def test_a_compiler_of_the_float_model_is_given_floats() -> None:
    """Where bytes enter the INT8 model, the float one, which a tool quantizes by itself, takes normalised floats."""
    manifest = Manifest.load(bundle("int8"))
    manifest = replace(manifest, preprocess=Preprocess((120.0,) * 3, (60.0,) * 3, 1.0))
    picture = np.random.default_rng(0).uniform(0, 255, (*manifest.input_shape, 3)).astype(np.float32)
    stored = _entering(manifest, target_by_name("ethos-u55-128"), picture)
    assert stored.dtype == np.int8
    entered = _entering(manifest, target_by_name("sony-imx500"), picture)
    assert entered.dtype == np.float32
    np.testing.assert_allclose(entered[0], (picture - 120) / 60, atol=1e-5)
