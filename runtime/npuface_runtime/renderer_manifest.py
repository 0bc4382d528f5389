"""The manifest of a face renderer's bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from npuface_runtime.bundle_manifest import BundleManifest, DeviceEngine, FileInfo, TensorInfo
from npuface_runtime.manifest_parts import wrong_files, wrong_tensors
from npuface_runtime.manifest_records import wrong_placement
from npuface_runtime.ray_encoding import RendererRecord, wrong_renderer


@dataclass(frozen=True)
class RendererManifest(BundleManifest):
    """What a renderer's bundle says about itself; see BundleManifest for the fields that all kinds have.

    Attributes:
        input: encoded rays (see RendererRecord.input_shape).
        outputs: one picture, RGB in 0..1, in blocks of pixels (see RendererRecord.output_shape).
        renderer: what the host half needs.
        parity: {"max_abs", "poses"}: largest difference of a colour in 0..1 to the plain torch renderer.
        fidelity: {"psnr_db", "min_psnr_db", "poses"}: INT8 against float, on poses that did not
            calibrate; None in float.
    """

    FORMAT: ClassVar[str] = "npuface-renderer"
    VERSION: ClassVar[int] = 4

    name: str
    target: str
    engine: str
    precision: str
    files: Mapping[str, FileInfo]
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    renderer: RendererRecord
    recipe: Mapping[str, Any] | None = None
    placement: Mapping[str, Any] | None = None
    parity: Mapping[str, float] | None = None
    fidelity: Mapping[str, float] | None = None
    estimate: Mapping[str, Any] | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    device: DeviceEngine | None = None

    def problem(self) -> str | None:
        """See BundleManifest."""
        return (
            wrong_files(self.files, self.precision)
            or wrong_tensors(self.input, self.outputs)
            or wrong_renderer(self.renderer)
            or self._wrong_shapes()
            or wrong_placement(self.placement)
            or self._wrong_figures()
        )

    def _wrong_figures(self) -> str | None:
        figures = (("parity", self.parity, ("max_abs",)), ("fidelity", self.fidelity, ("psnr_db", "min_psnr_db")))
        for name, record, wanted in figures:
            missing = [figure for figure in wanted if record is not None and figure not in record]
            if missing:
                return f"its {name} has no {', '.join(missing)}"
        return None

    def _wrong_shapes(self) -> str | None:
        if len(self.outputs) != 1:
            return "a renderer has one output"
        shapes = self.renderer.input_shape, self.renderer.output_shape
        for tensor, (n, c, h, w) in zip((self.input, self.outputs[0]), shapes, strict=True):
            wanted = (n, c, h, w) if tensor.layout == "NCHW" else (n, h, w, c)
            if tensor.shape != wanted:
                return f"tensor {tensor.name!r} has shape {tensor.shape}, its renderer {wanted}"
        return None
