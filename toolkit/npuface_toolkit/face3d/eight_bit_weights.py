"""Weights of the field that 8 bits hold exactly.

Rounding the weights of the one density channel shifts the optical depth of all of empty space by a little, and that is
fog: 26 dB against float. So after training the weights of the field's 1x1 convolutions are put onto the grid of the
symmetric per-channel quantizer that every converter here uses, each rounded up or down as it makes up for the others:
coordinate descent on the squared error of the layer's output (cf. GPTQ, Frantar et al., ICLR 2023). What ships is what
was rounded, so that float and INT8 share it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_toolkit.face3d.generator import Generator
from npuface_toolkit.face3d.packed import drawn_angles
from npuface_toolkit.face3d.pose import rotations
from npuface_toolkit.face3d.rays import ray_inputs

_LEVELS = 127
_HEADS = 40
_SPREAD = 0.5
"""Deviation of the codes that are drawn: about that of the codes of pictures."""
_FAR = 3.0
"""Optical depth from zero beyond which nothing shows; such places hardly count for the density layer."""
_ROUNDS = 100


@torch.no_grad()
def settle_weights(generator: Generator, seed: int = 0) -> None:
    """Put the weights of the field's 1x1 convolutions onto 8-bit grids.

    Layers follow one another, each on what the settled ones before it give. Those of the codes are left alone: in a
    baked head they are biases.
    """
    field = generator.field
    codes = {field.shape_first, field.shape_again, field.appearance, field.plate_appearance, field.to_colour}
    layers = [layer for layer in field.modules() if isinstance(layer, nn.Conv2d) and layer not in codes]
    for layer in layers:
        inputs, counts = _inputs(generator, layer, seed)
        _settle(layer, inputs, counts)


def _settle(layer: nn.Conv2d, inputs: Tensor, counts: Tensor) -> None:
    """Round one layer for inputs [N, C] that count [N]; its bias makes up for the mean of the error."""
    weight = layer.weight.flatten(1).double()
    mean = (counts[:, None] * inputs).sum(0) / counts.sum()
    centred = inputs - mean
    gram = centred.T @ (counts[:, None] * centred) / counts.sum()
    steps = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / _LEVELS
    settled = steps * _nearest(weight / steps, gram)
    if layer.bias is not None:
        layer.bias -= (settled - weight) @ mean
    layer.weight.copy_(settled.reshape(layer.weight.shape))


def _nearest(wanted: Tensor, gram: Tensor) -> Tensor:
    """Whole numbers n [O, C] within +-127 with a small (n - wanted)' gram (n - wanted) in each row: column after column
    is moved to where the others want it, until none moves. The largest of a row stays, it sets the scale."""
    found = wanted.round()
    movable = wanted.abs() < _LEVELS - 1e-3
    for _ in range(_ROUNDS):
        before = found.clone()
        for i in torch.nonzero(gram.diagonal() > 1e-9).flatten().tolist():
            slope = (found - wanted) @ gram[i]
            moved = (found[:, i] - slope / gram[i, i]).round().clamp(-_LEVELS, _LEVELS)
            found[:, i] = torch.where(movable[:, i], moved, found[:, i])
        if torch.equal(found, before):
            break
    return found


def _inputs(generator: Generator, layer: nn.Conv2d, seed: int) -> tuple[Tensor, Tensor]:
    """What enters a layer for random heads and poses [N, C], and how much each row counts [N]."""
    config, caught = generator.config, []
    handle = layer.register_forward_pre_hook(lambda module, entered: caught.append(entered[0]))
    random = torch.Generator().manual_seed(seed)
    masks = []
    for _ in range(_HEADS):
        zs, za = (
            _SPREAD * torch.randn(1, count, 1, 1, generator=random)
            for count in (config.shape_codes, config.appearance_codes)
        )
        rays = ray_inputs(rotations(drawn_angles(1, random)), config.rays)
        generator.field.density(rays.pe_x, zs) if layer is generator.field.to_density else generator(*rays, zs, za)
        masks.append(rays.mask.flatten())
    handle.remove()
    rows = torch.cat([entered.flatten(2)[0].T for entered in caught]).double()
    mask = torch.cat(masks).double()
    counts = mask + 0.02 if len(rows) == len(mask) else torch.ones(len(rows), dtype=torch.float64)
    if layer is generator.field.to_density and layer.bias is not None:
        optical = generator.field.optical_factor * (rows @ layer.weight.flatten().double() + layer.bias.double())
        counts = counts * torch.where(optical.abs() < _FAR, 1.0, 0.02)
    return rows[::3], counts[::3]
