"""A landmark network -> a float bundle for a target."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from npuface_export.bundle import bytes_out, cpu_placement, tool_versions, workspace, write_bundle
from npuface_export.choose import BUDGET, Choice, choose_form
from npuface_export.converters import ModelFiles, converter_by_name
from npuface_export.decode.finished import mean_confidence
from npuface_export.network import Network
from npuface_export.parity import measure_parity
from npuface_export.photograph import covered_crops, face_crops
from npuface_export.target import Target
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess


def export_bundle(
    network: Network, target: Target, out: Path, *, form: str | None = None, budget: float = BUDGET
) -> Manifest:
    """Convert a network for a target, decode included, and write the bundle.

    Args:
        network: in evaluation mode.
        target: what to deploy to. One that runs INT8 only gets a float bundle all the same, to be quantized next.
        out: the bundle's folder; a bundle that is there is replaced.
        form: a decode form to force; without it, the cheapest that the target can run within the budget.
        budget: heatmap px by which a decode form may move the landmarks (see choose.choose_form).

    Returns:
        The bundle's manifest.

    Raises:
        UserError: the target refuses the forced form, no form keeps to the budget, the engine's coordinates differ
            from torch's by more than 1e-3 heatmap px, or the bundle cannot be written.
    """
    heatmaps = face_heatmaps(network)
    choice = choose_form(network, target, heatmaps, form, budget)
    clear, _ = heatmaps.chunk(2)
    sure = mean_confidence(choice.form, network.spec, clear) or None
    converter = converter_by_name(target.converter)
    with workspace(out) as folder:
        decode = choice.form.build(network.spec).eval()
        model = converter.convert(network.module.eval(), decode, network.input_shape, folder)
        manifest = _manifest(network, target, choice, budget, model, converter.engine)
        manifest = replace(manifest, decode=replace(manifest.decode, face_confidence=sure))
        parity = {"max_abs": measure_parity(network, choice.form, manifest, model.files)}
        manifest = replace(manifest, parity=parity, tools=tool_versions(converter.tools))
        return write_bundle(out, folder, manifest, model.files)


def face_heatmaps(network: Network) -> Tensor:
    """What a network draws of the photograph's face, turned and upright: what decode forms are judged by.

    Returns:
        [6, C, H, W]: three in the open, then the same partly covered. Clear faces alone would let a form pass that
        loses the landmarks of half-seen ones.
    """
    shape, margin = network.input_shape, network.margin
    crops = face_crops(shape, margin) + covered_crops(shape, margin)
    pictures = (torch.from_numpy(np.stack(crops)) - torch.tensor(network.mean)) / torch.tensor(network.std)
    with torch.no_grad():
        return torch.cat([network.module(picture[None]) for picture in pictures.permute(0, 3, 1, 2)])


def _manifest(
    network: Network, target: Target, choice: Choice, budget: float, model: ModelFiles, engine: str
) -> Manifest:
    spec, form = network.spec, choice.form
    return Manifest(
        name=network.name,
        target=target.name,
        engine=engine,
        precision="float32",
        files={},
        input=model.input,
        outputs=model.outputs,
        preprocess=Preprocess(network.mean, network.std, network.margin),
        landmarks=Landmarks(network.scheme, network.points),
        heatmap=HeatmapInfo(spec.height, spec.width, network.cell_scale, network.cell_offset, model.heatmap, spec.kind),
        decode=Decode(
            form.name,
            form.finish,
            form.finish_params(spec),
            bytes_out(model),
            choice.refused,
            choice.warning,
            {"budget_px": budget, **asdict(choice.moved)},
        ),
        placement=cpu_placement(model) if target.runs_on_host else None,
        origin=network.origin,
        device=target.device,
    )
