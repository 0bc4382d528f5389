"""Encoder 2: ways in which its weights are kept, what it refuses, and how well the published one tells people apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.identity_encoder import IdentityEncoder, load_identity_encoder
from npuface_toolkit.face3d.light_cnn import LightCnn
from npuface_toolkit.face3d.mobile_face_net import MobileFaceNet
from npuface_toolkit.faces import read_picture

PAIRS = 60


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return MobileFaceNet().state_dict()


def test_all_ways_of_keeping_weights_give_the_same_vectors(state: dict[str, Tensor], tmp_path: Path) -> None:
    prefixed = {f"module.{key}": value for key, value in state.items()}
    torch.save(state, tmp_path / "plain.pth")
    torch.save({"epoch": 3, "net_state_dict": state}, tmp_path / "nested.ckpt")
    torch.save({"state_dict": prefixed}, tmp_path / "old.pth.tar", _use_new_zipfile_serialization=False)
    save_file(prefixed, tmp_path / "plain.safetensors")
    picture = torch.rand(2, 3, 100, 90, generator=torch.Generator().manual_seed(1))
    found = [load_identity_encoder("mobilefacenet", path)(picture) for path in sorted(tmp_path.iterdir())]
    assert len(found) == 4
    torch.testing.assert_close(found[0].norm(dim=1), torch.ones(2))
    for vectors in found[1:]:
        assert torch.equal(vectors, found[0])


@pytest.mark.parametrize("size", [(40, 40), (112, 96), (218, 178)])
def test_slopes_reach_every_pixel_of_pictures_of_any_size(
    size: tuple[int, int], state: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "plain.pth")
    picture = torch.rand(1, 3, *size, requires_grad=True)
    load_identity_encoder("mobilefacenet", tmp_path / "plain.pth")(picture)[0, 0].backward()
    assert picture.grad is not None
    assert (picture.grad.abs().sum(1) > 0).all()


def test_the_layer_of_classes_of_a_light_cnn_is_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classes = {"fc2.weight": torch.zeros(10, 256), "fc2.bias": torch.zeros(10)}
    torch.save({"state_dict": LightCnn().state_dict() | classes}, tmp_path / "published.pth.tar")
    encoder = load_identity_encoder("light-cnn", tmp_path / "published.pth.tar")
    assert encoder(torch.rand(1, 3, 60, 60)).shape == (1, 256)


def test_weights_of_another_layout_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    missing = {key: value for key, value in state.items() if key != "conv1.conv.weight"}
    narrower = state | {"linear1.conv.weight": torch.zeros(64, 512, 1, 1)}
    for case in (LightCnn().state_dict(), missing, narrower, state | {"more": torch.zeros(1)}, {}):
        torch.save(case, path)
        with pytest.raises(UserError, match="it holds no mobilefacenet network"):
            load_identity_encoder("mobilefacenet", path)
    for no_state in ([1, 2], {1: torch.zeros(1)}):
        torch.save(no_state, path)
        with pytest.raises(UserError, match="no table of tensors"):
            load_identity_encoder("mobilefacenet", path)


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of mobilefacenet, light-cnn, vgg-face"):
        load_identity_encoder("facenet", tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["weights.pth", "legacy.pth", "weights.safetensors"])
def test_a_file_that_is_cut_short_is_refused(name: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name != "legacy.pth")
    whole = path.read_bytes()
    for kept in (0, 1, 7, 18, 100, 1000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(UserError, match="it holds no mobilefacenet network"):
            load_identity_encoder("mobilefacenet", path)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_single_weight_that_is_not_finite_is_refused(value: float, state: dict[str, Tensor], tmp_path: Path) -> None:
    weight = state["blocks.3.conv.0.weight"].clone()
    weight[0, 0] = value
    torch.save(state | {"blocks.3.conv.0.weight": weight}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="a weight is not finite"):
        load_identity_encoder("mobilefacenet", tmp_path / "weights.pth")


class _Code:
    """Touches a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(zipped: bool, state: dict[str, Tensor], tmp_path: Path) -> None:
    path, ran = tmp_path / "weights.pth", tmp_path / "ran"
    torch.save(state | {"more": _Code(ran)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="it holds no mobilefacenet network"):
        load_identity_encoder("mobilefacenet", path)
    assert not ran.exists()


def test_sixty_pairs_of_people_are_told_apart(data: Path) -> None:
    """Pairs of one identity are closer than pairs of two: the area under the ROC curve."""
    encoder = load_identity_encoder("mobilefacenet", data / "models/mobilefacenet/068.ckpt")
    celeba = data / "celeba"
    people: dict[str, list[str]] = {}
    for line in (celeba / "identities.txt").read_text().splitlines():
        name, identity = line.split()
        people.setdefault(identity, []).append(name)
    twice = [names for names in people.values() if len(names) > 1][:PAIRS]
    assert len(twice) == PAIRS
    first, second = (_vectors(encoder, [celeba / "images" / names[i] for names in twice]) for i in (0, 1))
    same = (first * second).sum(1).numpy()
    different = (first * second.roll(1, 0)).sum(1).numpy()
    assert np.mean(same[:, None] > different[None]) > 0.95


def _vectors(encoder: IdentityEncoder, paths: list[Path]) -> Tensor:
    """Of pictures of 109 x 89, without the hair and the background around the face."""
    cut = np.stack([read_picture(path)[28:88, 18:70] for path in paths])
    with torch.no_grad():
        vectors: Tensor = encoder(torch.from_numpy(cut).permute(0, 3, 1, 2) / 255)
    return vectors
