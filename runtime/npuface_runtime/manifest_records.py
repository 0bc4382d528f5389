"""The records of a manifest that are kept as plain data, such as placement and coordinate shift, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from npuface_runtime.plain import build

if TYPE_CHECKING:
    from npuface_runtime.manifest import Manifest


@dataclass(frozen=True)
class _Counts:
    npu: int
    cpu: int


@dataclass(frozen=True)
class PlacedOperator:
    """One operator of the model file and where it runs.

    Attributes:
        name: the model file's own: of the node in ONNX, of the tensor that it writes in TFLite.
        operator: its kind, in the model file's own names.
        device: npu or cpu.
        part: body, or decode for what comes after the heatmaps.
        reads: indices of the operators before it whose results it reads.
        reason: in the compiler's words, why it is not on the NPU; None where it is, or where none is given.
        dtype: what it computes in, where the compiler tells: int8, float16 and so on.
    """

    name: str
    operator: str
    device: str
    part: str
    reads: tuple[int, ...] = ()
    reason: str | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class CpuOperator:
    """Operators of one kind that the NPU does not take.

    Attributes:
        operator: in the model file's own names.
        count: how many of them.
        reason: in the compiler's words; None where it gives none.
    """

    operator: str
    count: int
    reason: str | None = None


@dataclass(frozen=True)
class _Placement:
    npu: int
    cpu: int
    cpu_operators: tuple[str, ...] = ()
    body: _Counts | None = None
    decode: _Counts | None = None
    reasons: tuple[CpuOperator, ...] = ()
    operators: tuple[PlacedOperator, ...] = ()


@dataclass(frozen=True)
class _Shift:
    mean_px: float
    max_px: float
    faces: float
    oracle: str | None = None
    pictures: str | None = None
    from_stand_in_px: float | None = None
    stand_in_px: float | None = None


@dataclass(frozen=True)
class _Moved:
    budget_px: float
    float_px: float | None
    int8_px: float | None
    reference: str | None = None


@dataclass(frozen=True)
class _Refusal:
    form: str
    reason: str


@dataclass(frozen=True)
class _BetaFit:
    beta: float
    error: float
    bias: float
    beta_before: float
    error_before: float
    bias_before: float


@dataclass(frozen=True)
class _Fit:
    threshold: float
    threshold_error: float
    faces: int
    reference: str | None = None
    threshold_before: float | None = None
    threshold_error_before: float | None = None
    threshold_in_use: float | None = None
    warning: str | None = None
    given_beta: float | None = None


@dataclass(frozen=True)
class _Origin:
    file: str
    head: str
    own_decode: str | None = None
    fit: Mapping[str, Any] | None = None


def wrong_placement(placement: Mapping[str, Any] | None) -> str | None:
    """Why a placement is not what it should be: types, and no number below zero; None if it is, or there is none.

    Entries with names that are not known here may say anything.
    """
    return None if placement is None else _wrong(_Placement, placement, "placement")


def wrong_records(manifest: Manifest) -> str | None:
    """The same for every such record of a landmark network's manifest."""
    decode, origin = manifest.decode, manifest.origin
    fit = (origin or {}).get("fit") or {}
    has_fit = isinstance(fit, dict) and bool(fit)
    records: list[tuple[Any, Mapping[str, Any] | None, str]] = [
        (_Shift, manifest.coordinate_shift, "coordinate_shift"),
        (_Moved, decode.moved, "decode.moved"),
        (_Origin, origin, "origin"),
        (_Fit, fit if has_fit else None, "origin.fit"),
        (_BetaFit, fit if has_fit and "beta" in fit else None, "origin.fit"),
        *((_Refusal, refused, f"decode.refused[{i}]") for i, refused in enumerate(decode.refused)),
    ]
    return wrong_placement(manifest.placement) or next(
        (why for kind, record, name in records if record is not None and (why := _wrong(kind, record, name))), None
    )


def _wrong(kind: Any, record: Mapping[str, Any], name: str) -> str | None:
    known, where = {field.name for field in fields(kind)}, f"manifest.{name}"
    checked = {key: value for key, value in record.items() if key in known}
    try:
        build(kind, checked, where)
    except ValueError as error:
        return str(error)
    return _negative(checked, where)


def _negative(value: object, where: str) -> str | None:
    """Where the first number below zero is."""
    if isinstance(value, int | float):
        return f"{where} is below zero" if value < 0 else None
    inner: list[tuple[str, object]] = []
    if isinstance(value, dict):
        inner = [(f"{where}.{key}", one) for key, one in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"{where}[{i}]", one) for i, one in enumerate(value)]
    return next((why for place, one in inner if (why := _negative(one, place))), None)
