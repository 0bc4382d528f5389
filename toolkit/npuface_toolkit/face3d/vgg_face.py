"""VGG-Face (Parkhi et al., "Deep Face Recognition", BMVC 2015), layers named as published: RGB 224 x 224 -> fc7, 4096
numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE = (224, 224)
_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_MEAN = (129.1863, 104.7624, 93.5940)
"""RGB, in 0..255: the mean face that the published network takes off."""


class VggFace(nn.Module):
    """RGB in 0..1 [B, 3, 224, 224] -> [B, 4096]. The layer of classes (fc8) of the published file is left out."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        inner = 3
        self.names = []
        for block, (outer, count) in enumerate(_BLOCKS, 1):
            for number in range(1, count + 1):
                setattr(self, f"conv{block}_{number}", nn.Conv2d(inner, outer, 3, padding=1))
                self.names.append((f"conv{block}_{number}", number == count))
                inner = outer
        self.fc6 = nn.Linear(512 * 7 * 7, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """The vectors."""
        maps = pictures * 255 - self.mean
        for name, is_last in self.names:
            maps = functional.relu(getattr(self, name)(maps))
            maps = functional.max_pool2d(maps, 2) if is_last else maps
        return functional.relu(self.fc7(functional.relu(self.fc6(maps.flatten(1)))))
