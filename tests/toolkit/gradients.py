"""One step's gradients, written by every process that `accelerate launch` starts: SOURCE FOLDER."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from npuface_toolkit.face_files import read_faces
from npuface_toolkit.samples import Sample
from npuface_toolkit.train import Trainer
from npuface_toolkit.training_config import Stage, TrainingConfig


def main(source: str, folder: Path) -> None:
    """Batch norm keeps its statistics here: in training every process has those of its own share."""
    torch.set_num_threads(1)
    faces, scheme = read_faces(source)
    config = TrainingConfig((Stage(64, 1, 4),), width=0.25, depth=2, workers=0, precision="fp32", held_out=0)
    trainer = Trainer(faces, scheme, replace(config, seed=3))
    trainer.parallel.eval()
    samples = trainer._samples(trainer.training, 64, train=True, seed=3)
    batch = next(iter(trainer._loader(samples, 4, seed=5)))
    trainer.accelerator.backward(trainer.objective(trainer.parallel, Sample(*batch)))
    gradients = {name: weight.grad for name, weight in trainer.student.named_parameters()}
    count, mine = trainer.accelerator.num_processes, trainer.accelerator.process_index
    torch.save(gradients | {"faces": torch.tensor(len(batch[0]))}, folder / f"{mine}-of-{count}.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
