"""A landmark network -> a float bundle for a target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from npuface_export.bundle import bytes_out, cpu_placement, tool_versions, workspace, write_bundle
from npuface_export.converters import ModelFiles, converter_by_name
from npuface_export.decode import FORMS, DecodeForm, HeatmapSpec, form_by_name
from npuface_export.network import Network
from npuface_export.parity import measure_parity
from npuface_export.target import Target
from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Decode, HeatmapInfo, Landmarks, Manifest, Preprocess

Refusals = tuple[dict[str, str], ...]


def export_bundle(network: Network, target: Target, out: Path, *, form: str | None = None) -> Manifest:
    """Convert a network for a target, decode included, and write the bundle.

    Args:
        network: in evaluation mode.
        target: what to deploy to. One that runs INT8 only gets a float bundle all the same, to be quantized next.
        out: the bundle's folder; a bundle that is there is replaced.
        form: a decode form to force; without it, the first in rank order that the target can run.

    Returns:
        The bundle's manifest.

    Raises:
        UserError: the target refuses the forced form, the engine's coordinates differ from torch's by more
            than 1e-3 heatmap px, or the bundle cannot be written.
    """
    chosen, refused = choose_form(target, network.spec, form)
    converter = converter_by_name(target.converter)
    with workspace(out) as folder:
        decode = chosen.build(network.spec).eval()
        model = converter.convert(network.module.eval(), decode, network.input_shape, folder)
        manifest = _manifest(network, target, chosen, refused, model, converter.engine)
        parity = {"max_abs": measure_parity(network, chosen, manifest, model.files)}
        manifest = replace(manifest, parity=parity, tools=tool_versions(converter.tools))
        return write_bundle(out, folder, manifest, model.files)


def choose_form(target: Target, spec: HeatmapSpec, forced: str | None = None) -> tuple[DecodeForm, Refusals]:
    """The decode form for a target, and those before it in rank that the target cannot run, with the reason.

    Raises:
        UserError: the forced form is unknown, or the target cannot run it.
    """
    if forced is not None:
        form = form_by_name(forced)
        reason = target.refuses_form(form, spec)
        if reason:
            fits = [f.name for f in _ranked() if not target.refuses_form(f, spec)]
            raise UserError(f"{target.name} cannot run the decode form {form.name}", reason, f"use {' or '.join(fits)}")
        return form, ()
    refused: list[dict[str, str]] = []
    for form in _ranked():
        reason = target.refuses_form(form, spec)
        if reason is None:
            return form, tuple(refused)
        refused.append({"form": form.name, "reason": reason})
    raise UserError(f"{target.name} runs no decode form", refused[-1]["reason"], "choose another target")


def _ranked() -> list[DecodeForm]:
    return sorted(FORMS.values(), key=lambda form: form.rank)


def _manifest(
    network: Network, target: Target, form: DecodeForm, refused: Refusals, model: ModelFiles, engine: str
) -> Manifest:
    spec = network.spec
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
        decode=Decode(form.name, form.finish, form.finish_params(spec), bytes_out(model), refused),
        placement=None if target.is_npu else cpu_placement(model),
    )
