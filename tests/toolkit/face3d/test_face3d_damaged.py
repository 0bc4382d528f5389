"""Files that are damaged or lie: every one is refused with the reason, and nothing is allocated by its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from small import SHAPE, small_model

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.codes_file import FORMAT as CODES
from npuface_toolkit.face3d.codes_file import load_codes
from npuface_toolkit.face3d.face3d_checkpoint import FORMAT, load_face3d, save_face3d
from npuface_toolkit.face3d.generator import GeneratorConfig
from npuface_toolkit.face3d.head_views import FORMAT as HEADS
from npuface_toolkit.face3d.head_views import HeadViews, load_views, make_views, save_views, stacked
from npuface_toolkit.face3d.light_field import LightField, LightFieldConfig
from npuface_toolkit.face3d.renderer_network import LIGHT_FIELD, load_light_field, save_light_field


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    save_face3d(path, small_model())
    return path


@pytest.fixture(scope="module")
def heads() -> HeadViews:
    return stacked(list(make_views(2, 2, 16, 1, 30, 10)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"width": 10**9}, "width is 1000000000"),
        ({"width": "16"}, "not of type int"),
        ({"shape_codes": 10**9}, "shape_codes"),
        ({"shape_codes": 0, "appearance_codes": 0}, "codes of"),
        ({"rays": {"grid": 10**6}}, "grid"),
        ({"rays": {"grid": 256, "samples": 256}}, "memory"),
        ({"rays": {"samples": 0}}, "samples"),
        ({"rays": {"tan_half": "x"}}, "not of type float"),
        ({"rays": {"distance": 1e30}}, "camera"),
        ({"rays": []}, "not an object"),
        ({"depth": 1}, "unknown field"),
    ],
)
def test_a_checkpoint_with_absurd_numbers_is_refused(
    model: Path, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    about = {"config": SHAPE.as_dict() | change}
    save_file(load_file(model), tmp_path / "a", {"format": FORMAT, "about": json.dumps(about)})
    with pytest.raises(UserError, match=why):
        load_face3d(str(tmp_path / "a"))


@pytest.mark.parametrize("about", [[], {}, {"config": []}, {"config": 5}])
def test_a_checkpoint_that_describes_nothing_is_refused(model: Path, tmp_path: Path, about: object) -> None:
    save_file(load_file(model), tmp_path / "a", {"format": FORMAT, "about": json.dumps(about)})
    with pytest.raises(UserError, match="disagree"):
        load_face3d(str(tmp_path / "a"))


def test_weights_that_are_not_finite_are_refused(model: Path, tmp_path: Path) -> None:
    weights = load_file(model)
    weights["encoder.last.bias"][0] = float("nan")
    save_file(weights, tmp_path / "a", {"format": FORMAT, "about": json.dumps({"config": SHAPE.as_dict()})})
    with pytest.raises(UserError, match="not finite"):
        load_face3d(str(tmp_path / "a"))


def test_a_configuration_survives_its_way_through_a_checkpoint() -> None:
    assert GeneratorConfig.from_dict(json.loads(json.dumps(SHAPE.as_dict()))) == SHAPE


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.int64])
def test_codes_of_another_type_are_taken_as_float32(tmp_path: Path, kind: torch.dtype) -> None:
    codes = {"zs": torch.ones(SHAPE.shape_codes).to(kind), "za": torch.ones(SHAPE.appearance_codes).to(kind)}
    save_file(codes, tmp_path / "c", {"format": CODES})
    assert {code.dtype for code in load_codes(tmp_path / "c", SHAPE)} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("rgb", lambda a: a.astype(np.float32), "rgb is float32"),
        ("rgb", lambda a: a[:, :, :, :8], "rgb is"),
        ("rgb", lambda a: a[:0], "its pictures are"),
        ("depth", lambda a: a.reshape(-1), "depth is"),
        ("depth", lambda a: a[:, :1], "depth is"),
        ("poses", lambda a: a.astype(np.float64), "poses is float64"),
        ("poses", lambda a: a * np.nan, "not finite"),
        ("points", lambda a: a[:, :0], "its points"),
        ("inside", lambda a: a[:, :3], "inside is"),
        ("inside", lambda a: a * 9, "other than 0 and 1"),
        ("landmarks", lambda a: a[:, :, :5], "landmarks is"),
        ("shapes", lambda a: a[:, :5], "shapes is"),
    ],
)
def test_heads_whose_parts_do_not_fit_are_refused(
    heads: HeadViews, tmp_path: Path, name: str, change: Any, why: str
) -> None:
    arrays = dict(vars(heads))
    arrays[name] = np.ascontiguousarray(change(arrays[name]).astype(change(arrays[name]).dtype))
    save_arrays(arrays, tmp_path / "h", {"format": HEADS})
    with pytest.raises(UserError, match=why):
        load_views(tmp_path / "h")
    save_views(tmp_path / "h", heads)
    assert len(load_views(tmp_path / "h")) == 2


def test_heads_of_a_size_that_rays_do_not_divide_are_refused() -> None:
    with pytest.raises(UserError, match="no multiple of 4"):
        list(make_views(1, 1, 30, 0, 30, 10))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"width": 10**9}, "widths"),
        ({"blocks": 10**6}, "blocks"),
        ({"rays": {"grid": 10**6}}, "grid"),
        ({"rays": 5}, "not an object"),
        ({"width": "x"}, "not of type int"),
    ],
)
def test_a_light_field_with_absurd_numbers_is_refused(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    path = tmp_path / "l.safetensors"
    field = LightField(LightFieldConfig(SHAPE.rays, 8, 1, 8))
    save_light_field(path, field, {})
    assert load_light_field(path).config == field.config
    about = {"config": json.loads(json.dumps(LightFieldConfig(SHAPE.rays, 8, 1, 8).__dict__, default=vars)) | change}
    save_file(load_file(path), path, {"format": LIGHT_FIELD, "about": json.dumps(about)})
    with pytest.raises(UserError, match=why):
        load_light_field(path)
