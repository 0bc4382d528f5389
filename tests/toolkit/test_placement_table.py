"""`npuface explain`: where the operators run as tables and as a picture, and bundles that do not say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from npuface_export.bundle import workspace, write_bundle
from npuface_export.compilers import PlacedOperator, Placement
from npuface_export.compilers.placement import BODY, CPU, DECODE, NPU
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess, TensorInfo
from npuface_toolkit.cli import main
from npuface_toolkit.cli.placement_table import short_name

CPU_ONLY = "no kernel of 65 x 1"
PLACEMENT = Placement(
    (
        PlacedOperator("a.b.Outer_net/torch.nn.Conv2d_first", "CONV_2D", NPU, BODY),
        PlacedOperator("a.b.Outer_net/torch.nn.Conv2d_second;x", "CONV_2D", NPU, BODY, (0,)),
        PlacedOperator("heatmaps", "ADD", NPU, BODY, (0, 1)),
        PlacedOperator("largest", "MAX_POOL_2D", CPU, DECODE, (2,), CPU_ONLY),
        PlacedOperator("decoded", "SUB", NPU, DECODE, (2, 3)),
    )
)


def write(out: Path, placement: Any, **changes: Any) -> Path:
    """A bundle for the Ethos-U55 with that placement; its model is a few bytes that nobody opens."""
    tensors = (TensorInfo("heatmaps", (1, 4, 4, 2), "float32", "NHWC"),)
    manifest = Manifest(
        name="small",
        target="ethos-u55-128",
        engine="litert",
        precision="int8",
        files={},
        input=TensorInfo("input", (1, 8, 8, 3), "float32", "NHWC"),
        outputs=tensors,
        preprocess=Preprocess((0.0,) * 3, (1.0,) * 3, 1.0),
        landmarks=Landmarks("test", 2),
        heatmap=HeatmapInfo(4, 4, (2.0, 2.0), (0.5, 0.5), "heatmaps"),
        decode=Decode("host", "heatmaps", {"beta": 1.0}, 128),
        placement=placement,
        tools={"vela": "5.2.0"},
    )
    with workspace(out) as folder:
        (folder / "model.tflite").write_bytes(b"model")
        write_bundle(out, folder, replace(manifest, **changes), {"model": folder / "model.tflite"})
    return out


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write(tmp_path / "bundle", PLACEMENT.as_json())


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code, and stdout with its lines and frames taken out."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return int(left.value.code or 0), " ".join(capfd.readouterr().out.replace("│", " ").split())


def error(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    code, text = run(capfd, *arguments, "--json")
    assert code == 2
    found: dict[str, str] = json.loads(text)["error"]
    return found


def test_placement_survives_the_manifest(bundle: Path) -> None:
    assert Placement.from_json(Manifest.load(bundle).placement or {}) == PLACEMENT


def test_explain_counts_by_part_kind_device_and_reason(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, text = run(capfd, "explain", str(bundle))
    assert code == 0
    assert "Placement: 4 operators on the NPU, 1 on the CPU" in text
    for row in (
        "body ADD NPU 1",
        "body CONV_2D NPU 2",
        f"decode MAX_POOL_2D CPU 1 {CPU_ONLY}",
        "decode SUB NPU 1",
    ):
        assert row in text
    assert "net/first" not in text


def test_explain_lists_every_operator_when_asked(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, text = run(capfd, "explain", str(bundle), "--operators")
    for row in (
        "0 net/first CONV_2D NPU body",
        "1 net/second CONV_2D NPU body",
        "2 heatmaps ADD NPU body",
        f"3 largest MAX_POOL_2D CPU decode {CPU_ONLY}",
        "4 decoded SUB NPU decode",
    ):
        assert row in text


def test_explain_draws_the_graph(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "graph.svg"
    code, text = run(capfd, "explain", str(bundle), "--graph", str(picture), "--json")
    assert code == 0
    assert json.loads(text)["graph"] == str(picture)
    drawn = ElementTree.parse(picture).getroot()
    words = " ".join(" ".join(drawn.itertext()).split())
    assert "bundle: small, int8, for ethos-u55-128" in words
    assert "as vela 5.2.0 placed it when it compiled the model; nothing here ran on a device" in words
    assert [one.get("id") for one in drawn.iter() if "operator-" in one.get("id", "")] == [
        f"operator-{i}" for i in range(5)
    ]


def test_an_unknown_suffix_is_refused(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refusal = error(capfd, "explain", str(bundle), "--graph", str(tmp_path / "graph.gif"))
    assert refusal["why"] == ".gif is no format for it"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("placement", "changes", "why", "fix"),
    [
        (
            {"npu": 0, "cpu": 3, "cpu_operators": ["ADD"]},
            {"target": "litert-cpu"},
            "no compiler places them: litert runs the whole of it on LiteRT on a CPU",
            "npuface targets",
        ),
        (None, {"precision": "float32"}, "it is float32, which vela has not compiled", "npuface quantize"),
        (None, {}, "vela has not compiled it, or does not tell", "npuface compile"),
        ({"npu": 3, "cpu": 0, "cpu_operators": []}, {}, "it was compiled before bundles kept that", "compile it again"),
    ],
)
def test_a_bundle_that_does_not_say_where_operators_run(
    placement: Any,
    changes: dict[str, Any],
    why: str,
    fix: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = str(write(tmp_path / "bundle", placement, **changes))
    for option in (("--operators",), ("--graph", str(tmp_path / "graph.png"))):
        refusal = error(capfd, "explain", out, *option)
        assert refusal["what"] == f"cannot show where the operators of {out} run"
        assert refusal["why"].startswith(why)
        assert fix in refusal["fix"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    code, text = run(capfd, "explain", out)
    assert code == 0
    assert "Placement:" not in text


def spoilt(index: int, **changes: Any) -> dict[str, Any]:
    record = json.loads(json.dumps(PLACEMENT.as_json()))
    record["operators"][index] |= changes
    return dict(record)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (spoilt(0, device="gpu"), "its placement: operators[0] is on 'gpu' in 'body'"),
        (spoilt(1, part="head"), "its placement: operators[1] is on 'npu' in 'head'"),
        (spoilt(1, reads=[1]), "its placement: operators[1] reads what does not come before it"),
        (spoilt(1, reads=[-1]), "manifest.placement.operators[1].reads[0] is below zero"),
        (spoilt(2, operator=7), "manifest.placement.operators[2].operator is not of type str"),
        (spoilt(2, colour="red"), "manifest.placement.operators[2] has an unknown field 'colour'"),
        (PLACEMENT.as_json() | {"operators": "all"}, "manifest.placement.operators is not a list"),
    ],
)
def test_a_damaged_placement_is_said(
    record: dict[str, Any], why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = write(tmp_path / "bundle", PLACEMENT.as_json())
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps(manifest | {"placement": record}))
    refusal = error(capfd, "explain", str(out))
    assert refusal["what"] == f"the bundle {out} is damaged"
    assert refusal["why"] == why


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("litert_torch.io.Wrapper/a.b._Marked_wrapped/a.Student_net/torch.nn.Conv2d_first_x;1", "wrapped/net/first_x"),
        ("a.Student_net/torch.nn.Sequential_0;;again/and/again", "net/0"),
        ("/stem/conv.1/Conv", "stem/conv.1/Conv"),
        ("decoded", "decoded"),
    ],
)
def test_names_are_the_path_without_classes(name: str, short: str) -> None:
    assert short_name(name) == short
