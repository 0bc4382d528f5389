"""Trials: one question, several configurations, the same schedule and start, several seeds, one table."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from npuface_benchmarks.files import write_all
from npuface_runtime.errors import UserError
from npuface_toolkit.training_config import TrainingConfig, as_json, build_config, taught
from npuface_toolkit.training_log import EpochReport
from npuface_toolkit.training_run import train_student
from npuface_toolkit.trial_measure import Measured, TrialFaces, measure

_TRIALS = Path(__file__).parent / "trials"
_FIX = "see the shipped trial for an example"


@dataclass(frozen=True)
class Variant:
    """One answer to a trial's question: how to train, and the decode forms to measure the result in."""

    config: TrainingConfig
    measured: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """A question to the training.

    Attributes:
        seeds: every variant is trained once with each.
        warm: what all variants of a seed start from; None starts each as its configuration says.
        variants: by name, the first being what the others are compared with.
    """

    seeds: tuple[int, ...]
    warm: TrainingConfig | None
    variants: Mapping[str, Variant]

    @property
    def beside(self) -> dict[str, str]:
        """Checkpoints to measure beside the variants, by what the table calls them: starts and teachers."""
        configs = [variant.config for variant in self.variants.values()]
        starts = {config.start for config in configs} - {""} if self.warm is None else set()
        shown = {f"{Path(start).stem}, the start": start for start in sorted(starts)}
        return shown | {called: self.variants[name].config.distillation.teacher for name, called in self.taught.items()}

    @property
    def taught(self) -> dict[str, str]:
        """What the table calls the teacher of each variant that has one."""
        configs = {name: variant.config.distillation for name, variant in self.variants.items()}
        return {name: f"{Path(how.teacher).stem}, a teacher" for name, how in configs.items() if how.active}


@dataclass(frozen=True)
class Result:
    """What one network came to: variant, seed, the decode form it was exported in, and the figures."""

    variant: str
    seed: int
    form: str
    figures: Measured


def find_trial(name: str) -> Path:
    """The file of a trial: a path, or the name of a shipped one such as `decode`."""
    shipped = _TRIALS / f"{name}.toml"
    return shipped if "/" not in name and shipped.is_file() else Path(name)


def read_trial(path: Path, teacher: str | None = None, start: str | None = None) -> Trial:
    """Read a trial from TOML: `seeds`, [base], [warm] and [variants.NAME], the latter two as changes of the base.

    `teacher` is whom the variants with distillation terms learn from that name none; `start` replaces the base's.

    Raises:
        UserError: the file is missing, no TOML, has a key or value that is not known, or nobody learns from `teacher`.
    """
    what = f"cannot read the trial {path}"
    try:
        raw = tomllib.loads(path.read_text())
        base, seeds = raw["base"], tuple(int(seed) for seed in raw["seeds"])
        if start:
            base = base | {"start": start}
        warm = build_config(_changed(base, raw["warm"]), f"{path}, warm") if "warm" in raw else None
        variants = {
            name: _variant(base, changes, f"{path}, {name}", teacher) for name, changes in raw["variants"].items()
        }
    except OSError as error:
        raise UserError(what, error.strerror or str(error), "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(what, str(error), _FIX) from None
    if not seeds or not variants:
        raise UserError(what, "it needs at least one seed and one variant", _FIX)
    how = [variant.config.distillation for variant in variants.values()]
    if teacher and not any(one.active and one.teacher == teacher for one in how):
        why = "its variants name their teachers themselves, or have no distillation"
        raise UserError(
            f"{teacher} teaches nobody in {path}", why, "leave --teacher out, or change a copy of the trial"
        )
    return Trial(seeds, warm, variants)


def _variant(base: Mapping[str, Any], changes: dict[str, Any], source: str, teacher: str | None) -> Variant:
    rest = {key: value for key, value in changes.items() if key != "measured"}
    config = build_config(_changed(base, rest), source)
    config = config if config.distillation.teacher else taught(config, teacher)
    return Variant(config, tuple(changes.get("measured", (config.decode,))))


def _changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with some keys changed, tables key by key."""
    merged = dict(base)
    for key, value in changes.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def run_trial(
    trial: Trial,
    sources: Sequence[str],
    faces: TrialFaces,
    out: Path,
    report: Callable[[str, EpochReport], None] = lambda name, epoch: None,
) -> list[Result]:
    """Train every variant with every seed, then measure them all. What stands in `out` is not done again.

    Args:
        sources: labelled faces to train on, as `npuface train` takes them.
        faces: what to measure and to calibrate on; people in none of the training.
        out: folder of checkpoints and results.
        report: called after every epoch with the network's name.

    Raises:
        UserError: see train_student; or the folder holds a trial with other configurations.
    """
    trained: list[tuple[str, int, Path]] = []
    for seed in trial.seeds:
        start = ""
        if trial.warm is not None:
            start = str(_trained(f"warm-{seed}", replace(trial.warm, seed=seed), sources, out, report))
        for name, variant in trial.variants.items():
            config = replace(variant.config, seed=seed, start=start or variant.config.start)
            trained.append((name, seed, _trained(f"{name}-{seed}", config, sources, out, report)))
    return [
        Result(name, seed, form, _measured(checkpoint, form, faces, out))
        for name, seed, checkpoint in trained
        for form in trial.variants[name].measured
    ]


def _trained(
    name: str,
    config: TrainingConfig,
    sources: Sequence[str],
    out: Path,
    report: Callable[[str, EpochReport], None],
) -> Path:
    checkpoint, kept = out / f"{name}.safetensors", out / f"{name}.config.json"
    wanted = json.dumps([config_json(config), list(sources)])
    if checkpoint.is_file() and kept.is_file():
        if kept.read_text() != wanted:
            fix = "name another folder, or delete it"
            raise UserError(f"cannot go on in {out}", f"{name} was trained with another configuration", fix)
        return checkpoint
    train_student(sources, config, checkpoint, "npuface trial", lambda epoch: report(name, epoch))
    write_all(out, {kept.name: wanted.encode()})
    return checkpoint


def config_json(config: TrainingConfig) -> dict[str, Any]:
    """A configuration as plain data, the folder of its start left out."""
    plain: dict[str, Any] = json.loads(json.dumps(as_json(replace(config, start=Path(config.start).name))))
    return plain


def _measured(checkpoint: Path, form: str, faces: TrialFaces, out: Path) -> Measured:
    kept = out / f"{checkpoint.stem}.{form}.json"
    if kept.is_file():
        return Measured(**json.loads(kept.read_text()))
    figures = measure(checkpoint, form, faces)
    write_all(out, {kept.name: figures.as_json().encode()})
    return figures
