"""A third-party ONNX file -> Network, which takes the same road to a bundle as a student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from npuface_export.calibration import calibration_faces
from npuface_export.foreign.body import body_of
from npuface_export.foreign.cell_grid import grid_by_name
from npuface_export.foreign.channels import channels_named
from npuface_export.foreign.fit import DEFAULT_BETA, Fit, fit_decode
from npuface_export.foreign.heads import Head, find_head
from npuface_export.foreign.heads.head import Maps, maps_shape
from npuface_export.foreign.heads.offsets import OffsetCode, WithOffsets, own_offset_decode
from npuface_export.foreign.read import ForeignModel, read_foreign
from npuface_export.network import Network
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import sha256_of

_THRESHOLD, _SIGMA = 0.3, 1.5
_NAMING = "name maps [1, K, H, W], NAME or NAME[0:K]"


@dataclass(frozen=True)
class ForeignOptions:
    """What a file does not say of itself.

    Attributes:
        heatmaps: the tensor that holds them, NAME or NAME[FIRST:END]; None looks for them.
        offsets: the tensors of the x- and the y-offsets, where the network has such maps.
        offset_code: how they count, see heads.offsets.OffsetCode; None is cells:1.
        beta: inverse temperature of the softmax; None takes the model's own, or 20.
        grid: where a cell stands in the input, one of cell_grid.GRIDS; None reads it off the head, or half-pixel.
        calibration: a folder of pictures with faces, on which what the decode needs is found, see fit.Fit.
        name: what the bundle is called; the file's name without it.
        scheme: of its landmarks; None is custom-K.
        mean, std, margin: as Network has them.
    """

    heatmaps: str | None = None
    offsets: tuple[str, str] | None = None
    offset_code: str | None = None
    beta: float | None = None
    grid: str | None = None
    calibration: Path | None = None
    name: str | None = None
    scheme: str | None = None
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    margin: float = 1.3


def foreign_network(path: Path, options: ForeignOptions) -> Network:
    """Read a model, find its maps, prove the torch network, and choose what its decode needs.

    Raises:
        UserError: see read_foreign, find_head, body_of and calibration_faces; or an option is no use.
    """
    _check(options)
    model = read_foreign(path)
    head = _named_head(model, options) if options.offsets or "[" in (options.heatmaps or "") else _found(model, options)
    body = body_of(model, head)
    shape = head.shape[1:]
    scale, offset = (
        grid_by_name(options.grid, model.input_shape, shape)
        if options.grid
        else (head.grid or grid_by_name("half-pixel", model.input_shape, shape))
    )
    is_fine = head.own is not None and head.pattern != "arg-max"
    network = Network(
        name=options.name or path.stem,
        module=body,
        input_shape=model.input_shape,
        heatmap_shape=shape,
        cell_scale=scale,
        cell_offset=offset,
        points=head.shape[0],
        scheme=options.scheme or f"custom-{head.shape[0]}",
        mean=options.mean,
        std=options.std,
        margin=options.margin,
        threshold=_THRESHOLD,
        beta=options.beta or head.beta or DEFAULT_BETA,
        sigma=_SIGMA,
        kind=head.kind,
        own_points=head.own if is_fine else None,
    )
    origin: dict[str, Any] = {
        "file": path.name,
        "sha256": sha256_of(path),
        "head": head.pattern,
        "tensors": list(head.tensors),
        "own_beta": head.beta,
        "own_decode": "none" if head.own is None else "in the file" if is_fine else "in the file, whole cells only",
        **head.facts,
    }
    if options.calibration is None:
        return replace(network, origin=origin)
    faces = calibration_faces(options.calibration, network.input_shape, network.margin)
    return _fitted(network, fit_decode(network, faces), options, origin)


def _fitted(network: Network, fit: Fit, options: ForeignOptions, origin: Mapping[str, Any]) -> Network:
    beta = options.beta or fit.beta or network.beta
    known = {key: value for key, value in asdict(fit).items() if value is not None}
    known |= {"given_beta": options.beta} if options.beta else {}
    return replace(network, beta=beta, threshold=fit.threshold_in_use, sigma=fit.sigma, origin={**origin, "fit": known})


def _found(model: ForeignModel, options: ForeignOptions) -> Head:
    if options.heatmaps is not None:
        channels_named(model.graph, options.heatmaps)
    return find_head(model.graph, model.input_shape, options.heatmaps)


def _named_head(model: ForeignModel, options: ForeignOptions) -> Head:
    """The head that the user describes tensor by tensor.

    Raises:
        UserError: a tensor is not there, or they do not fit each other.
    """
    graph = model.graph
    if options.heatmaps is None:
        raise UserError("cannot use the offsets", "no heatmaps are named", "name them with --heatmaps")
    parts = [channels_named(graph, text) for text in (options.heatmaps, *(options.offsets or ()))]
    whole = maps_shape(graph.shape(parts[0].tensor))
    if isinstance(whole, str):
        raise UserError(f"cannot use the tensor {parts[0].tensor!r}", whole, _NAMING)
    first = (parts[0].count(graph), *whole[1:])
    for part in parts:
        found = maps_shape(graph.shape(part.tensor))
        shape = found if isinstance(found, str) else (part.count(graph), *found[1:])
        if shape != first:
            why = shape if isinstance(shape, str) else f"its maps are {list(shape)}, the heatmaps {list(first)}"
            raise UserError(f"cannot use the tensor {part.tensor!r}", why, _NAMING)
    tensors = tuple(dict.fromkeys(part.tensor for part in parts))
    placed = [(tensors.index(part.tensor), part) for part in parts]
    if not options.offsets:
        return Head("named", tensors, Maps(part=parts[0].part), first)
    code = OffsetCode.parse(options.offset_code or "cells:1")
    assemble, own = WithOffsets(placed, code), own_offset_decode(*first)
    facts = {"offsets": f"{code.name}, {code.factor:g} cells a unit"}
    return Head("named", tensors, assemble, first, "heatmap-offset", own=own, facts=facts)


def _check(options: ForeignOptions) -> None:
    finite = all(abs(v) < 1e6 for v in (*options.mean, *options.std, options.margin))
    if len(options.mean) != 3 or len(options.std) != 3 or not finite or min(options.std) <= 0 or options.margin <= 0:
        why = (
            f"mean {options.mean}, std {options.std} and margin {options.margin} are not three, three positive and one"
        )
        raise UserError("cannot use this preprocessing", why, "give --mean R,G,B --std R,G,B in 0..255 and a margin")
    if options.beta is not None and not 0 < options.beta < 1e6:
        raise UserError(f"cannot use the beta {options.beta}", "it is not a positive number", "give 20, or auto")
    if options.offset_code is not None and options.offsets is None:
        why = "no offsets are named, and it would be ignored"
        raise UserError(
            f"cannot use the offset code {options.offset_code!r}", why, "name them with --offsets, or leave it out"
        )
