"""Training the 3D model: it learns, it resumes to the same result, and each term reaches what it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import SHAPE, TRAINING

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.batches import Batches
from npuface_toolkit.face3d.config import Face3dTraining, LossWeights, read_face3d_config
from npuface_toolkit.face3d.face3d_checkpoint import load_face3d
from npuface_toolkit.face3d.head_views import HeadViews, make_views, stacked
from npuface_toolkit.face3d.identity_encoder import IdentityEncoder
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.face3d.train import Face3dTrainer
from npuface_toolkit.face3d.training_run import split_heads, train_face3d
from npuface_toolkit.training_run import find_config


@pytest.fixture(scope="module")
def heads() -> HeadViews:
    return stacked(list(make_views(6, 3, SHAPE.size, 1, 45, 20)))


@pytest.fixture(scope="module")
def photos(heads: HeadViews) -> Photos:
    return Photos(heads.rgb[:, 0], heads.poses[:, 0], tuple("abcdef"))


def weights(trainer: Face3dTrainer) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in trainer.average.module.state_dict().values()])


@pytest.mark.parametrize("name", ["face3d-heads", "face3d-gan"])
def test_shipped_configurations_can_be_read(name: str) -> None:
    assert read_face3d_config(find_config(name)).generator.size % 64 == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("steps = 0", "above 0"),
        ('pairing = "none"', "not one of encoder, literal"),
        ("loss = { depth = -1.0 }", "below 0"),
        ("held_out = 1.0", "shares"),
        ("generator = { rays = { grit = 4 } }", "grit"),
        ("steps", "not TOML"),
        ("steps = 1.5", "not of type int"),
        ('rate = "fast"', "not of type float"),
        ("rate = nan", "not finite"),
        ("rate = 0.0", "above 0"),
        ("seed = -1", "not below"),
        ("ema = 5.0", "shares"),
        ("warmup = -0.1", "shares"),
        ("adversary_width = 0", "above 0"),
        ("generator = 5", "not an object"),
        ("generator = { width = 0 }", "width is 0"),
        ("generator = { rays = { samples = 0 } }", "samples"),
        ("loss = 5", "not an object"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_said(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UserError, match=why):
        read_face3d_config(tmp_path / "a.toml")


def test_it_learns(heads: HeadViews) -> None:
    config = replace(TRAINING, steps=60, rate=3e-3)
    trainer = Face3dTrainer(heads, None, config)
    found = [trainer._step(step) for step in range(config.steps)]
    first, last = (np.mean([step["picture"] for step in part]) for part in (found[:10], found[-10:]))
    assert last < 0.8 * first
    solid_first, solid_last = (np.mean([step["solid"] for step in part]) for part in (found[:10], found[-10:]))
    assert solid_last < 0.9 * solid_first


def judge() -> IdentityEncoder:
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 5, 8, 8), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    return IdentityEncoder(torch.nn.Sequential(*layers), (32, 32))


@pytest.mark.parametrize("loss", [LossWeights(), LossWeights(gan=0.1, identity=1.0)])
def test_a_killed_run_ends_where_the_whole_run_does(
    heads: HeadViews, photos: Photos, tmp_path: Path, loss: LossWeights
) -> None:
    config, encoder = replace(TRAINING, loss=loss, gan_from=0.2), judge() if loss.identity else None
    whole = Face3dTrainer(heads, photos, config, identity=encoder)
    whole.run()
    state = tmp_path / "run.state"
    first = Face3dTrainer(heads, photos, config, state, encoder)
    kept = first._step

    def killed(step: int) -> dict[str, float]:
        if step == 4:
            raise KeyboardInterrupt
        return kept(step)

    import npuface_toolkit.face3d.train as train

    first._step = killed  # type: ignore[method-assign]
    every, train._SAVE_EVERY = train._SAVE_EVERY, 2
    try:
        with pytest.raises(KeyboardInterrupt):
            first.run()
        with pytest.raises(UserError, match="other data"):
            Face3dTrainer(heads.part(slice(1, None)), photos, config, state, encoder).run()
        again = Face3dTrainer(heads, photos, config, state, encoder)
        again.run()
    finally:
        train._SAVE_EVERY = every
    torch.testing.assert_close(weights(again), weights(whole), atol=0, rtol=0)
    done = Face3dTrainer(heads, photos, config, state, encoder)
    done.run()
    assert done.seconds == again.seconds, "a run that was killed behind its last step keeps its time"


def test_every_network_of_the_adversary_trains(heads: HeadViews) -> None:
    config = replace(TRAINING, loss=LossWeights(gan=0.1, identity=1.0), gan_from=0.0)
    trainer = Face3dTrainer(heads, None, config, identity=judge())
    parts = {name: getattr(trainer.adversary, name) for name in ("discriminator", "feature_encoder", "identity")}
    before = {name: [p.detach().clone() for p in part.parameters()] for name, part in parts.items()}
    found = [trainer._step(step) for step in range(2)]
    assert {"gan", "judge", "identity"} <= set(found[0])
    moved = {
        name: any((p != q).any() for p, q in zip(part.parameters(), before[name], strict=True))
        for name, part in parts.items()
    }
    assert moved == {"discriminator": True, "feature_encoder": True, "identity": False}


def test_the_literal_pairing_compares_no_pixels(heads: HeadViews) -> None:
    config = replace(TRAINING, pairing="literal", loss=LossWeights(gan=0.1), gan_from=0.0)
    found = Face3dTrainer(heads, None, config)._step(0)
    assert "picture" not in found
    assert "gan" in found


def test_a_loss_that_is_not_finite_ends_the_run(heads: HeadViews) -> None:
    trainer = Face3dTrainer(heads, None, replace(TRAINING, steps=3))  # fewer than between two reports
    trainer._step = lambda step: {"picture": 1.0, "loss": float("nan") if step == 1 else 1.0}  # type: ignore[method-assign]
    with pytest.raises(UserError, match="after 2 steps"):
        trainer.run()


def test_no_term_is_refused_where_cuda_casts_to_bfloat16(heads: HeadViews) -> None:
    """torch refuses binary_cross_entropy there. CUDA's rules are applied to tensors of the processor."""
    trainer = Face3dTrainer(heads, None, TRAINING)
    torch.set_autocast_enabled("cuda", True)
    try:
        with torch._C._IncludeDispatchKeyGuard(torch._C.DispatchKey.AutocastCUDA):
            with pytest.raises(RuntimeError, match="unsafe to autocast"):
                torch.nn.functional.binary_cross_entropy(torch.rand(2), torch.ones(2))
            found = trainer._step(0)
    finally:
        torch.set_autocast_enabled("cuda", False)
    assert found["solid"] > 0


def test_batches_of_heads_show_one_head_twice(heads: HeadViews) -> None:
    batch = Batches(heads, None, TRAINING).draw(3)
    same = Batches(heads, None, TRAINING).draw(3)
    torch.testing.assert_close(batch.source, same.source, atol=0, rtol=0)
    assert batch.heads == TRAINING.batch
    views = torch.from_numpy(heads.rgb).permute(0, 1, 4, 2, 3).float() / 255
    for source, target, pose in zip(batch.source, batch.target, batch.pose, strict=True):
        (who, _), (same, view) = (
            torch.nonzero((views == one).all(-1).all(-1).all(-1))[0].tolist() for one in (source, target)
        )
        assert who == same
        np.testing.assert_array_equal(heads.poses[who, view], pose)
    assert (batch.depth[batch.opacity > 0.9] > 3).all()


def test_a_mirrored_photograph_has_the_other_yaw(photos: Photos) -> None:
    batches = Batches(None, photos, replace(TRAINING, batch=64))
    batch = batches.draw(0)
    flipped = batch.source_pose[:, 0] == -batch.pose[:, 0]
    assert flipped.any()
    torch.testing.assert_close(batch.source[flipped].flip(-1), batch.target[flipped], atol=0, rtol=0)


def test_a_run_writes_checkpoint_card_and_sheets(heads: HeadViews, tmp_path: Path) -> None:
    out = tmp_path / "face.safetensors"
    train_face3d(heads, [], replace(TRAINING, sheet_every=3), out, "npuface face3d train")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.md", "face.safetensors", "face.sheets"]
    assert len(list((tmp_path / "face.sheets").iterdir())) == 2
    assert load_face3d(str(out)).facts["heads"] == {"trained on": 4, "held out": 2}
    assert "must not be used to identify people" in (tmp_path / "face.md").read_text()


def test_photographs_alone_of_whom_none_is_held_out_train_without_sheets(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import npuface_toolkit.face3d.training_run as training_run

    nobody = Photos(photos.rgb[:0], photos.poses[:0], ())
    monkeypatch.setattr(training_run, "split_photos", lambda *given: (photos, nobody))
    train_face3d(None, ["points:x.csv"], replace(TRAINING, sheet_every=3), tmp_path / "a.safetensors", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.md", "a.safetensors"]
    monkeypatch.setattr(training_run, "split_photos", lambda *given: (nobody, photos))
    with pytest.raises(UserError, match="every face is held out"):
        train_face3d(None, ["points:x.csv"], TRAINING, tmp_path / "b.safetensors", "")


def test_heads_are_split_at_their_end(heads: HeadViews) -> None:
    training, others = split_heads(heads, 0.3)
    np.testing.assert_array_equal(others.rgb, heads.rgb[4:])
    assert len(training) == 4
    with pytest.raises(UserError, match="there are 1"):
        split_heads(heads.part(slice(1)), 0.3)


@pytest.mark.parametrize(
    ("config", "given", "why"),
    [
        (TRAINING, False, "neither heads nor faces"),
        (replace(TRAINING, loss=LossWeights(identity=1.0)), True, "no weights of encoder 2"),
        (Face3dTraining(), True, "renders 64"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    heads: HeadViews, tmp_path: Path, config: Face3dTraining, given: bool, why: str
) -> None:
    with pytest.raises(UserError, match=why):
        train_face3d(heads if given else None, [], config, tmp_path / "a.safetensors", "")
    assert list(tmp_path.iterdir()) == []
