"""Encoder 2 (module 610, steps S506 and S730-S732): a frozen, pretrained network that tells people apart.

Its weights come from a file that the user names: this project ships none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d import light_cnn, mobile_face_net, vgg_face

_LAYOUTS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, int], tuple[str, ...]]] = {
    "mobilefacenet": (mobile_face_net.MobileFaceNet, mobile_face_net.SIZE, ()),
    "light-cnn": (light_cnn.LightCnn, light_cnn.SIZE, ("fc2.",)),
    "vgg-face": (vgg_face.VggFace, vgg_face.SIZE, ("fc8.",)),
}
"""By kind: the network, the height and width that it takes, and parameters of a published file that it leaves out."""
_NESTED = ("net_state_dict", "state_dict", "model")


class IdentityEncoder(nn.Module):
    """RGB in 0..1 [B, 3, H, W] of any size -> vectors of unit length; its weights do not train, pictures may.

    Args:
        network: takes pictures of one size.
        size: that height and width.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.network, self.size = network.eval().requires_grad_(False), size

    def train(self, mode: bool = True) -> IdentityEncoder:
        """It is frozen: always in evaluation mode."""
        return super().train(False)

    def forward(self, pictures: Tensor) -> Tensor:
        """The vectors."""
        fitted = functional.interpolate(pictures, self.size, mode="bilinear", align_corners=False, antialias=True)
        return functional.normalize(self.network(fitted))


def open_identity_encoder(text: str) -> IdentityEncoder:
    """KIND:FILE -> the encoder.

    Raises:
        UserError: there is no such kind, or see load_identity_encoder.
    """
    kind, separator, file = text.partition(":")
    if not separator or kind not in _LAYOUTS:
        why = f"it is not KIND:FILE with a kind of {', '.join(_LAYOUTS)}"
        raise UserError(f"cannot open the identity encoder {text}", why, "give mobilefacenet:FILE, for example")
    return load_identity_encoder(kind, Path(file))


def load_identity_encoder(kind: str, path: Path) -> IdentityEncoder:
    """Read pretrained weights: a PyTorch checkpoint, of which only tensors are read, or safetensors.

    Raises:
        UserError: there is no such kind; the file is missing, no checkpoint, of another layout, or not finite.
    """
    if kind not in _LAYOUTS:
        why = f"it is none of {', '.join(_LAYOUTS)}"
        raise UserError(f"unknown kind of identity encoder {kind!r}", why, "name one of these")
    build, size, beside = _LAYOUTS[kind]
    what, fix = f"cannot open the identity encoder {path}", f"give the published weights of a {kind} network"
    if not path.is_file():
        raise UserError(what, "there is no such file", fix)
    network = build()
    try:
        network.load_state_dict(_weights(path, beside))
    except Exception as error:  # a damaged file can break the reader anywhere: IndexError, struct.error, AssertionError
        raise UserError(what, f"it holds no {kind} network ({' '.join(str(error).split())[:160]})", fix) from None
    if not all(bool(torch.isfinite(weight).all()) for weight in network.state_dict().values()):
        raise UserError(what, "a weight is not finite", fix)
    return IdentityEncoder(network, size)


def _weights(path: Path, beside: tuple[str, ...]) -> dict[str, Tensor]:
    """The state of the network, out of what a checkpoint wraps around it."""
    if path.suffix == ".safetensors":
        found: Any = load_file(path)
    else:
        found = torch.load(path, map_location="cpu", weights_only=True)
    for name in _NESTED:
        found = found[name] if isinstance(found, dict) and isinstance(found.get(name), dict) else found
    if not isinstance(found, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
        raise ValueError("it is no table of tensors")
    plain = {key.removeprefix("module."): value for key, value in found.items()}
    return {key: value for key, value in plain.items() if not key.startswith(beside or ("\0",))}
