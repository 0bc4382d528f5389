"""One step's gradients of the 3D model, written by every process that `accelerate launch` starts: FOLDER."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from small import SHAPE, TRAINING

from npuface_toolkit.face3d.config import LossWeights
from npuface_toolkit.face3d.head_views import make_views, stacked
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.face3d.train import Face3dTrainer


def main(folder: Path) -> None:
    """The depth term is left out: it is a mean over the cells that heads cover, of which shares have unlike numbers."""
    torch.set_num_threads(1)
    heads = stacked(list(make_views(4, 2, SHAPE.size, 1, 45, 20)))
    photos = Photos(heads.rgb[:, 1], heads.poses[:, 1], tuple("abcd"))
    config = replace(TRAINING, batch=4, photos=0.5, precision="fp32", loss=LossWeights(depth=0.0))
    trainer = Face3dTrainer(heads, photos, config)
    trainer._step(0)
    gradients = {name: weight.grad for name, weight in trainer.networks.named_parameters()}
    faces = {"faces": torch.tensor(len(trainer.batches.draw(0).source))}
    torch.save(gradients | faces, folder / f"{trainer.process}-of-{trainer.processes}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
