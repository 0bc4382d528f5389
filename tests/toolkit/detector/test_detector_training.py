"""A tiny detector learns bright squares; a killed run ends with the same weights; what is wrong is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import CONFIG, write_squares

from npuface_runtime.errors import UserError
from npuface_toolkit.detector.boxes import read_boxes, split_pictures
from npuface_toolkit.detector.checkpoint import load_detector
from npuface_toolkit.detector.config import DetectorTraining, read_detector_config
from npuface_toolkit.detector.train import DetectorTrainer
from npuface_toolkit.detector.training_run import train_detector


def config_of(folder: Path, text: str) -> DetectorTraining:
    (folder / "config.toml").write_text(text)
    return read_detector_config(folder / "config.toml")


def test_it_learns_and_says_what_it_is(tmp_path: Path) -> None:
    source = write_squares(tmp_path / "squares", 12)
    config = config_of(tmp_path, CONFIG.format(epochs=20))
    found = train_detector([source], config, tmp_path / "tiny.safetensors", "npuface detector train")
    assert found.recall > 0.7
    assert found.average_precision > 0.7
    network, info = load_detector(str(tmp_path / "tiny.safetensors"))
    assert network.config == config.network
    assert info.facts["held out"]["recall"] == found.recall
    card = (tmp_path / "tiny.md").read_text()
    assert f"{found.recall:.1%}" in card
    assert not (tmp_path / "tiny.state").exists()


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    pictures = read_boxes(write_squares(tmp_path / "squares"))
    config = config_of(tmp_path, CONFIG.format(epochs=2))
    whole = DetectorTrainer(pictures, config)
    whole.run()

    class KilledError(Exception):
        pass

    class Killed(DetectorTrainer):
        def _epoch(self, epoch: int) -> float:
            if epoch == 1:
                raise KilledError
            return super()._epoch(epoch)

    with pytest.raises(KilledError):
        Killed(pictures, config, tmp_path / "run.state").run()
    resumed = DetectorTrainer(pictures, config, tmp_path / "run.state")
    resumed.run()
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name


def test_another_configuration_does_not_go_on(tmp_path: Path) -> None:
    pictures = read_boxes(write_squares(tmp_path / "squares"))
    DetectorTrainer(pictures, config_of(tmp_path, CONFIG.format(epochs=1)), tmp_path / "run.state").run()
    other = DetectorTrainer(pictures, config_of(tmp_path, CONFIG.format(epochs=2)), tmp_path / "run.state")
    with pytest.raises(UserError, match="another configuration"):
        other.run()
    fewer = DetectorTrainer(pictures[1:], config_of(tmp_path, CONFIG.format(epochs=1)), tmp_path / "run.state")
    with pytest.raises(UserError, match="other data"):
        fewer.run()
    (tmp_path / "run.state").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="damaged"):
        other.run()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("epochs = [", "not TOML"),
        ("pace = 3", "pace"),
        ("[network]\nheight = 100", "multiple of 64"),
        ('precision = "int4"', "int4"),
        ("pictures = 4", "no batch"),
        ("workers = -1", "workers = -1 is not 0 or more"),
        ("rate = nan", "rate = nan is not above 0"),
        ('rate = "fast"', "rate = 'fast' is not a number"),
        ('[augmentation]\nsizes = ["a", 10.0]', "is not a number"),
        ("[augmentation]\nsizes = [50.0, 10.0]", "sizes"),
    ],
)
def test_a_wrong_configuration_is_refused(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=why):
        config_of(tmp_path, text)


def test_pictures_without_a_sure_face_are_refused(tmp_path: Path) -> None:
    source = write_squares(tmp_path / "squares")
    config = config_of(tmp_path, CONFIG.format(epochs=1) + "sure = 0.95\n")
    with pytest.raises(UserError, match="none shows a sure face"):
        train_detector([source], config, tmp_path / "x.safetensors", "")
    assert not (tmp_path / "x.safetensors").exists()


def test_what_would_end_the_run_late_is_refused_first(tmp_path: Path) -> None:
    source = write_squares(tmp_path / "squares", 12)
    config = config_of(tmp_path, CONFIG.format(epochs=1))
    for name in ("x.md", "x.state", "."):
        with pytest.raises(UserError, match=r"ends in \.safetensors"):
            train_detector([source], config, tmp_path / name, "")
    _, held_out = split_pictures(read_boxes(source), config.held_out)
    held_out[0].file.write_bytes(b"broken")
    with pytest.raises(UserError, match=held_out[0].file.name):
        train_detector([source], config, tmp_path / "x.safetensors", "")
    assert not list(tmp_path.glob("x.*"))


def test_a_training_that_diverges_is_refused(tmp_path: Path) -> None:
    pictures = read_boxes(write_squares(tmp_path / "squares"))
    config = replace(config_of(tmp_path, CONFIG.format(epochs=2)), rate=1e30, warmup=0.0)
    with pytest.raises(UserError, match="diverged"):
        DetectorTrainer(pictures, config).run()


def test_a_landmark_checkpoint_is_no_detector() -> None:
    with pytest.raises(UserError, match="npuface-detector-1"):
        load_detector("student-68")
