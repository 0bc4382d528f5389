"""A detector's training run: pictures with boxes in, checkpoint and model card out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from npuface_benchmarks.files import write_all
from npuface_runtime.errors import UserError
from npuface_toolkit.detector.boxes import read_boxes, split_pictures
from npuface_toolkit.detector.checkpoint import DetectorInfo, load_detector, save_detector
from npuface_toolkit.detector.config import DetectorTraining
from npuface_toolkit.detector.matching import Found, judge_all
from npuface_toolkit.detector.model_card import detector_card
from npuface_toolkit.detector.predict import TorchDetector
from npuface_toolkit.detector.train import DetectorTrainer
from npuface_toolkit.faces import read_picture
from npuface_toolkit.training_machine import machine_of
from npuface_toolkit.training_run import check_out

_LEAST = 0.1
"""Score from which detections are looked at when the least score is chosen."""


def train_detector(sources: Sequence[str], config: DetectorTraining, out: Path, command: str) -> Found:
    """Train on `FILE.csv:PICTURES_DIR` sources, and write `out` (safetensors) and its model card beside it.

    A killed run goes on when called again.

    Returns:
        What the detector finds on the pictures held out, at the least score that is best there (see Judged.best_score).

    Raises:
        UserError: data or configuration are wrong, there is nothing to train on or nobody held out, the training
            diverges, or a file cannot be written.
    """
    check_out(out)
    pictures = [picture for source in sources for picture in read_boxes(source)]
    training, held_out = split_pictures(pictures, config.held_out)
    if not all(
        any((picture.scores >= config.augmentation.sure).any() for picture in part) for part in (training, held_out)
    ):
        why = f"{len(training)} of its pictures would be trained on, {len(held_out)} held out"
        raise UserError("cannot train on this data", f"{why}, or none shows a sure face", "give more pictures")
    for picture in held_out:  # a broken one would end the run after its last epoch
        read_picture(picture.file)
    state_file = out.with_suffix(".state")
    trainer = DetectorTrainer(training, config, state_file)
    trainer.run()
    save_detector(out, trainer.weights(), DetectorInfo(config.network))
    network, _ = load_detector(str(out))  # measured as it is kept, its kernels in float16
    judged = judge_all(TorchDetector(network, _LEAST), held_out, config.augmentation.sure)
    min_score = round(judged.best_score(), 2)
    found = judged.at(min_score)
    facts: dict[str, Any] = {
        "command": command,
        "data": [Path(source.partition(":")[0]).name for source in sources],
        "pictures": {"trained on": len(training), "held out": len(held_out)},
        "configuration": asdict(config),
        "hours": round(trainer.seconds / 3600, 2),
        "machine": machine_of(trainer.device),
        "min_score": min_score,
        "held out": asdict(found),
    }
    save_detector(out, network.state_dict(), DetectorInfo(config.network, min_score, facts))
    write_all(out.parent, {f"{out.stem}.md": detector_card(out.stem, network, facts).encode()})
    state_file.unlink(missing_ok=True)
    return found
