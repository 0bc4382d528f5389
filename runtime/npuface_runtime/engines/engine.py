"""What every engine gives: a session that runs one picture through one model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import EngineError, UserError, reason_of

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as the engine sees it: its name, its shape (-1 where it is free) and numpy's name of its type."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Session:
    """An open model. A context manager; use it from one thread at a time.

    Attributes:
        description: engine, version and threads, for people.
        input: the model's only input.
        outputs: what `run` returns, in that order.
    """

    def __init__(
        self,
        description: str,
        input: TensorSpec,
        outputs: Sequence[TensorSpec],
        infer: Callable[[Array], list[Array]],
        failures: tuple[type[Exception], ...],
    ) -> None:
        """Made by an engine: `infer` runs a checked contiguous input, `failures` is what it may raise."""
        self.description = description
        self.input = input
        self.outputs = tuple(outputs)
        self._infer: Callable[[Array], list[Array]] | None = infer
        self._failures = failures

    def run(self, picture: Array) -> list[Array]:
        """The model's outputs, in the order of `outputs`; the arrays belong to the caller.

        Raises:
            UserError: the picture does not fit `input` or is not finite, or the session is closed.
            EngineError: the engine failed.
        """
        infer = self._infer  # read once: another thread may close the session meanwhile
        if infer is None:
            raise UserError("cannot run the model", "its session is closed", "open it again")
        self._check(picture)
        try:
            return infer(np.ascontiguousarray(picture))
        except self._failures as error:
            raise EngineError(
                f"{self.description} failed", reason_of(error), "try another engine, or export the bundle again"
            ) from error

    def _check(self, picture: Array) -> None:
        wanted = self.input
        why = None
        if picture.dtype.name != wanted.dtype:
            why = f"it is {picture.dtype.name}, the model takes {wanted.dtype}"
        elif len(picture.shape) != len(wanted.shape) or any(
            w not in (-1, n) for n, w in zip(picture.shape, wanted.shape, strict=True)
        ):
            why = f"its shape is {picture.shape}, the model takes {wanted.shape}"
        elif picture.dtype.kind == "f" and picture.size and not np.isfinite([picture.min(), picture.max()]).all():
            why = "it has values that are not finite"
        if why:
            raise UserError("cannot run the model on this input", why, "make it with npuface_runtime.prepare")

    def close(self) -> None:
        """Let go of the model and its memory. Closing twice is harmless."""
        self._infer = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def unloadable(engine: str, files: Mapping[str, Path], error: Exception) -> UserError:
    """The engine could not open the model file."""
    return UserError(
        f"{engine} cannot open {files['model']}", reason_of(error), "check that it is a model of this engine's format"
    )


def only_input(inputs: Sequence[Any], files: Mapping[str, Path]) -> Any:
    """The only element of an engine's inputs. Raises UserError where there are more."""
    if len(inputs) != 1:
        raise UserError(f"cannot use {files['model']}", f"it has {len(inputs)} inputs", "give a model with one input")
    return inputs[0]


def choose_outputs(
    names: Sequence[Collection[str]], wanted: Sequence[str] | None, files: Mapping[str, Path]
) -> list[int]:
    """Indices of the wanted outputs among those whose names are given, each of which may have several.

    Raises:
        UserError: the model has no output of a wanted name.
    """
    if wanted is None:
        return list(range(len(names)))
    chosen = []
    for name in wanted:
        found = [i for i, aliases in enumerate(names) if name in aliases]
        if not found:
            known = ", ".join(sorted(alias for aliases in names for alias in aliases))
            raise UserError(
                f"{files['model']} has no output {name!r}", f"its outputs are {known}", "export the bundle again"
            )
        chosen.append(found[0])
    return chosen
