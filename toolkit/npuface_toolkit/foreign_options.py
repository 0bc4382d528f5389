"""The options of `npuface export` that tell about a third-party model, from their text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npuface_export.foreign.network import ForeignOptions
from npuface_runtime.errors import UserError


def read_options(model: str, given: Mapping[str, Any]) -> ForeignOptions | None:
    """Options by their names without dashes, None where one is not given -> ForeignOptions; None for a checkpoint.

    Raises:
        UserError: an option cannot be read, or is given with a checkpoint, which says these things itself.
    """
    known = {name: value for name, value in given.items() if value is not None}
    if Path(model).suffix.lower() != ".onnx":
        if known:
            why = f"a checkpoint says itself what --{next(iter(known))} is for"
            raise UserError(f"cannot export {model}", why, "leave the option out, or give an .onnx model")
        return None
    text = known.pop("beta", None)
    if text == "auto":
        if "calibration" not in known:
            why = "there are no pictures to choose it on"
            raise UserError("cannot find beta", why, "give a folder of pictures with faces: --calibration DIR")
    elif text is not None:
        known["beta"] = _numbers("beta", text, 1)[0]
    for name in ("mean", "std"):
        if name in known:
            known[name] = _numbers(name, known[name], 3)
    if "offsets" in known:
        known["offsets"] = _pair(known["offsets"])
    return ForeignOptions(**{name.replace("-", "_"): value for name, value in known.items()})


def _numbers(name: str, text: str, count: int) -> tuple[float, ...]:
    """`count` numbers with commas between them; one alone stands for all."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, count):
        wanted = "a number, or auto" if name == "beta" else f"{count} numbers with commas between them"
        raise UserError(f"cannot read --{name} {text}", f"it is not {wanted}", f"give {wanted}")
    return numbers if len(numbers) == count else numbers * count


def _pair(text: str) -> tuple[str, str]:
    parts = text.split(",")
    if len(parts) != 2 or not all(parts):
        why = "it does not name two tensors, one of x-offsets and one of y-offsets"
        raise UserError(
            f"cannot read --offsets {text}", why, "give NAME,NAME, for instance output[66:132],output[132:198]"
        )
    return parts[0], parts[1]
