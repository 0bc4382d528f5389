"""How long a renderer takes beside the plain torch renderer, in turns, in one run; the host half is in every number."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from npuface_export.renderer import RendererNetwork, export_renderer, quantize_renderer
from npuface_export.target import Target, target_by_name
from npuface_runtime.errors import UserError
from npuface_runtime.face_renderer import FaceRenderer
from npuface_toolkit.face3d.codes_file import load_codes
from npuface_toolkit.face3d.evaluate import psnr
from npuface_toolkit.face3d.face3d_checkpoint import load_face3d
from npuface_toolkit.face3d.pose import Pose
from npuface_toolkit.face3d.renderer_network import renderer_network
from npuface_toolkit.face3d.sheets import render_poses

_POSES = [Pose(yaw, pitch) for yaw in (-45.0, -20.0, 0.0, 25.0, 45.0) for pitch in (-20.0, 0.0, 15.0)]
Picture = NDArray[np.uint8]
Render = Callable[[Pose], Picture]


@dataclass(frozen=True)
class RendererRow:
    """One way to render the same head.

    Attributes:
        renderer: what it is.
        median_ms, p95_ms: of one picture, from the pose to RGB, one thread, measured here.
        ratio: how many times faster than the plain torch renderer, median over median.
        psnr_db: of all its pictures to those of the plain torch renderer, dB.
    """

    renderer: str
    median_ms: float
    p95_ms: float
    ratio: float
    psnr_db: float


def bench_renderers(model: str, codes: Path, light_field: Path | None, target: str, runs: int) -> list[RendererRow]:
    """Time the plain torch renderer, the exported one in float and INT8, and a light field likewise.

    Args:
        model: a checkpoint of the 3D model.
        codes: of the head.
        light_field: a light field of that head; None leaves it out.
        target: of the bundles, which are made in a temporary folder.
        runs: rounds in which each takes its turn.

    Raises:
        UserError: a checkpoint or the codes cannot be used, or the target is no CPU, and a host cannot tell its times.
    """
    chosen = target_by_name(target)
    if not chosen.runs_on_host:
        why = "it is no CPU, and what stands in for it here tells nothing of its times"
        raise UserError(
            f"cannot time renderers for {target}", why, "give a CPU target; npuface quantize shows estimates"
        )
    generator = load_face3d(model).generator
    zs, za = load_codes(codes, generator.config)
    networks = {"exported": renderer_network(model, codes, chosen)}
    if light_field is not None:
        networks["light field"] = renderer_network(str(light_field), None, chosen)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            bundles = _bundles(networks, chosen, Path(folder))
            opened = {name: FaceRenderer(bundle, 1) for name, bundle in bundles.items()}
            ways: dict[str, Render] = {"plain torch": lambda pose: render_poses(generator, zs, za, [pose])[0]}
            ways |= {name: _by(renderer) for name, renderer in opened.items()}
            rows = _rows(ways, runs)
            for renderer in opened.values():
                renderer.close()
        return rows
    finally:
        torch.set_num_threads(before)


def _bundles(networks: dict[str, RendererNetwork], target: Target, folder: Path) -> dict[str, Path]:
    made: dict[str, Path] = {}
    for name, network in networks.items():
        exact, int8 = folder / f"{name}-float", folder / f"{name}-int8"
        export_renderer(network, target, exact)
        quantize_renderer(exact, int8)
        made |= {f"{name}, float, {target.name}": exact, f"{name}, INT8, {target.name}": int8}
    return made


def _by(renderer: FaceRenderer) -> Render:
    return lambda pose: renderer.render(pose.yaw, pose.pitch)


def _rows(ways: dict[str, Render], runs: int) -> list[RendererRow]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    pictures = {name: [render(pose) for pose in _POSES] for name, render in ways.items()}  # and warm
    for run in range(runs):
        pose = _POSES[run % len(_POSES)]
        for name, render in ways.items():
            began = time.perf_counter()
            render(pose)
            times[name].append(1000 * (time.perf_counter() - began))
    plain = next(iter(ways))
    base, truth = float(np.median(times[plain])), np.stack(pictures[plain])
    return [
        RendererRow(
            name,
            round(float(np.median(times[name])), 3),
            round(float(np.quantile(times[name], 0.95)), 3),
            round(base / float(np.median(times[name])), 2),
            round(psnr(np.stack(pictures[name]), truth), 2),
        )
        for name in ways
    ]
