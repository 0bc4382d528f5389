"""Volume rendering for CPU engines: what Compositing gives, in kernels that compute blocks of channels.

Sums over the samples before each are a product with a matrix, with the samples of a ray as channels. As a kernel of
12 x 1 over one channel, which NPUs prefer to a change of layout, they took a sixth of the time of the whole renderer in
INT8 on ONNX Runtime. The share of a sample is made once for every channel: a product of tensors of one shape stays in
blocks, one that repeats a channel leaves them and comes back. With the view along the rows (see
npuface_runtime.ray_encoding) that saves 6 % of the time in float, and costs a tenth in INT8.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from npuface_toolkit.face3d.compositing import DEEPEST, Compositing


class BlockCompositing(Compositing):
    """See Compositing.

    Args:
        samples: S.
        channels: C, of the features.
    """

    before: Tensor

    def __init__(self, samples: int, channels: int) -> None:
        super().__init__(samples)
        before = -torch.ones(samples + 1, samples).tril(-1)
        self.register_buffer("before", before.reshape(samples + 1, samples, 1, 1), persistent=False)
        self.difference = self.difference.repeat(channels, 1, 1, 1)

    def transmittance(self, optical: Tensor) -> Tensor:
        """See Compositing."""
        rays = optical.shape[-1]
        sums = functional.conv2d(optical.reshape(-1, self.samples, 1, rays), self.before).clamp(-DEEPEST, 0.0)
        return torch.exp(sums).reshape(-1, 1, self.samples + 1, rays)
