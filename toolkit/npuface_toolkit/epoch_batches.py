"""The order in which an epoch shows its faces, the same for any number of processes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EpochBatches(Sampler[list[int]]):
    """Whole batches of a shuffled epoch; of each, every process takes an equal share.

    Args:
        count: faces there are; what does not fill a last batch is left out.
        batch: faces a step, over all processes; a multiple of `processes`.
        seed: of the order.
        process, processes: whose share this is.
    """

    def __init__(self, count: int, batch: int, seed: int, process: int = 0, processes: int = 1) -> None:
        if batch % processes:
            raise ValueError(f"a batch of {batch} does not divide among {processes} processes")
        self.count, self.batch, self.seed = count, batch, seed
        self.process, self.processes = process, processes

    def __len__(self) -> int:
        return self.count // self.batch

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(self.seed)).tolist()
        for start in range(0, len(self) * self.batch, self.batch):
            yield order[start : start + self.batch][self.process :: self.processes]
