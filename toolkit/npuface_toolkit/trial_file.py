"""A trial's file: the question, what it compares, and what makes a trial that would mislead."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npuface_export.decode import form_by_name
from npuface_runtime.errors import UserError
from npuface_toolkit.training_config import TrainingConfig, build_config, taught

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


def find_trial(name: str) -> Path:
    """The file of a trial: a path, or the name of a shipped one such as `decode`."""
    shipped = _TRIALS / f"{name}.toml"
    return shipped if "/" not in name and shipped.is_file() else Path(name)


def read_trial(path: Path, teacher: str | None = None, start: str | None = None) -> Trial:
    """Read a trial from TOML: `seeds`, [base], [warm] and [variants.NAME], the latter two as changes of the base.

    `teacher` is whom the variants with distillation terms learn from that name none; `start` replaces the base's.

    Raises:
        UserError: the file is missing, no TOML, has a key or value that is not known, its variants hold out different
            people, or nobody learns from `teacher`.
    """
    what = f"cannot read the trial {path}"
    try:
        raw = tomllib.loads(path.read_text())
        base, seeds = raw["base"], _seeds(raw["seeds"])
        if start:
            base = base | {"start": start}
        warm = build_config(_changed(base, raw["warm"]), f"{path}, warm") if "warm" in raw else None
        variants = {
            _file_name(name): _variant(base, changes, f"{path}, {name}", teacher)
            for name, changes in raw["variants"].items()
        }
    except OSError as error:
        raise UserError(what, error.strerror or str(error), "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(what, str(error), _FIX) from None
    if not seeds or not variants:
        raise UserError(what, "it needs at least one seed and one variant", _FIX)
    _check_held_out([variant.config for variant in variants.values()] + ([warm] if warm else []), what)
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
    measured = changes.get("measured", [config.decode])
    if not isinstance(measured, list):
        raise ValueError(f"measured = {measured!r} is no list of decode forms")
    for form in measured:
        form_by_name(form)  # before hours are spent
    return Variant(config, tuple(measured))


def _file_name(variant: str) -> str:
    """The name of a variant, which becomes that of a file."""
    if not re.fullmatch(r"[\w.+-]*\w", variant):
        raise ValueError(f"{variant!r} is no name for a variant: letters, digits, - and _")
    return variant


def _seeds(given: Any) -> tuple[int, ...]:
    if not all(type(seed) is int and seed >= 0 for seed in given) or len(set(given)) < len(given):
        raise ValueError(f"seeds = {given!r} are not different whole numbers from 0 on")
    return tuple(given)


def _check_held_out(configs: list[TrainingConfig], what: str) -> None:
    """The people whom a trial measures on must be unknown to all of its networks."""
    shares = sorted({config.held_out for config in configs})
    if len(shares) > 1:
        why = (
            f"held_out is {' and '.join(map(str, shares))}, so that some variants train on whom others are measured on"
        )
        raise UserError(what, why, "set it in [base] alone")


def _changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with some keys changed, tables key by key."""
    merged = dict(base)
    for key, value in changes.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged
