"""litert: torch -> TFLite for the LiteRT interpreter, and for the vendor compilers that read TFLite.

The file's tensors have fixed names: `picture` enters, `heatmaps` stand inside, `decoded` leaves (with
the host form, `heatmaps` leave). Where a form begins with a fixed shift, the heatmaps inside are the shifted ones, and
`cut` takes the shift back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from npuface_export.converters.converter import ModelFiles, Quantizer, check_pictures
from npuface_export.converters.recipe import Recipe
from npuface_export.converters.tflite_fold import fold_shift, unfold_shift
from npuface_export.converters.tflite_graph import DECODED, HEATMAPS, PICTURE, Graph
from npuface_export.quiet import quiet_tools
from npuface_runtime.errors import UserError, reason_of
from npuface_runtime.geometry import Shape

_FILE = "model.tflite"
_MARKER = -1.5e30
"""Lower bound that no heatmap reaches; a number by which the marking operator is known."""


class _Marked(nn.Module):
    """A network and its decode, with an operator between them that changes nothing and marks the heatmaps.

    Without it the converter merges across the border (it folds the scale of a softmax into the last
    convolution), and no tensor holds the heatmaps. A second output would mark them too, but costs
    transposes. The marker is taken out of the file afterwards.
    """

    def __init__(self, network: nn.Module, decode: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.decode = decode
        self.marker: Tensor
        self.register_buffer("marker", torch.tensor(_MARKER))

    def forward(self, pictures: Tensor) -> Tensor:
        decoded: Tensor = self.decode(torch.maximum(self.network(pictures), self.marker))
        return decoded


class _Planes(nn.Module):
    """A network whose answer is written by a convolution, so that it stands in the file as planes, channels last.

    Of linear layers the converter leaves (K, cells) or (1, K, cells), whatever they are reshaped to. A depthwise
    convolution by one keeps every value, for one multiplication each.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.keep = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        nn.init.ones_(self.keep.weight)

    def forward(self, pictures: Tensor) -> Tensor:
        planes: Tensor = self.keep(self.network(pictures))
        return planes


class LiteRt:
    """Converter to TFLite (see converter.Converter)."""

    engine = "litert"
    safe_recipe = Recipe()
    wide_moments_only = True
    tools = ("litert-torch", "ai-edge-litert", "ai-edge-quantizer")

    def convert(
        self,
        network: nn.Module,
        decode: nn.Module,
        shape: Shape,
        folder: Path,
        channels: int = 3,
        *,
        as_planes: bool = True,
    ) -> ModelFiles:
        """Write the float model `model.tflite`: NHWC picture [1, H, W, 3] -> what the decode makes, channels last.

        Args:
            network, decode, shape, folder, channels: see converter.Converter.convert.
            as_planes: bring heatmaps that would stand otherwise in the file into planes, by which `describe` and `cut`
                know them. Where a decode alone is measured, that would be one more operator in front of it.

        Raises:
            UserError: the decode does not keep four dimensions.
        """
        pictures, path = torch.zeros(1, channels, *shape), folder / _FILE
        with torch.no_grad():
            drawn = network.eval()(pictures)
            made = tuple(decode.eval()(drawn).shape)
        if len(made) != 4:
            raise UserError("cannot convert the network to TFLite", f"its output is {made}", "make it N, C, H, W")
        graph = _converted(_Marked(network, decode), pictures, path)
        if as_planes and drawn.ndim == 4 and not _has_planes(graph, drawn):
            graph = _converted(_Marked(_Planes(network, drawn.shape[1]), decode), pictures, path)
        fold_shift(graph, HEATMAPS)
        graph.write(path)
        return _files(graph, path)

    def describe(self, files: Mapping[str, Path], heatmap: tuple[int, int, int]) -> ModelFiles:
        """Read a model back (see converter.Converter.describe)."""
        path = files["model"]
        graph = Graph.read(path)
        tensor = graph.by_name(HEATMAPS)
        k, height, width = heatmap
        if tensor is None or graph.shape(tensor) != (1, height, width, k):
            found = "no tensor of that name" if tensor is None else f"that tensor is {graph.shape(tensor)}"
            raise UserError(
                f"cannot find the heatmaps in {path.name}",
                f"a tensor {HEATMAPS!r} of shape (1, {height}, {width}, {k}) is expected, {found}",
                "export the network again",
            )
        return _files(graph, path)

    def quantizer(self, source: ModelFiles, pictures: Sequence[NDArray[np.float32]]) -> Quantizer:
        """Calibrate (see converter.Converter.quantizer); pictures are NCHW [1, 3, H, W] as everywhere."""
        from npuface_export.converters.litert_quantize import LiteRtQuantizer  # its tools take seconds to import

        check_pictures(pictures)
        channel_last = [np.ascontiguousarray(picture.transpose(0, 2, 3, 1)) for picture in pictures]
        return LiteRtQuantizer(source.files["model"], channel_last, _written)

    def cut(self, source: ModelFiles, folder: Path) -> ModelFiles:
        """Write the same network ending at its heatmaps as it draws them, as `heatmaps.tflite`."""
        graph = Graph.read(source.files["model"])
        tensor = graph.by_name(source.heatmap)
        if tensor is None:
            raise UserError(
                f"cannot cut {source.files['model'].name}", f"it has no tensor {source.heatmap!r}", "export it again"
            )
        graph.end_at(tensor)
        unfold_shift(graph, source.heatmap)
        path = folder / f"{HEATMAPS}.tflite"
        graph.write(path)
        return _files(graph, path)


def _converted(module: nn.Module, pictures: Tensor, path: Path) -> Graph:
    """What the converter makes of a marked network, its tensors named. Raises UserError where the converter fails."""
    with quiet_tools():
        import litert_torch  # takes seconds, and only this needs it

        litert_torch.config.show_progress = False
        channels_last = litert_torch.to_channel_last_io(module.eval(), args=[0], outputs=[0]).eval()
        try:
            litert_torch.convert(channels_last, (pictures.permute(0, 2, 3, 1),)).export(str(path))
        except (ValueError, RuntimeError) as error:
            why, fix = f"the converter fails: {reason_of(error)}", "write what it names with other operators"
            raise UserError("cannot convert the network to TFLite", why, fix) from None
    graph = Graph.read(path)
    _name_tensors(graph)
    return graph


def _has_planes(graph: Graph, drawn: Tensor) -> bool:
    """Whether the heatmaps stand in the file as [1, H, W, K]."""
    tensor, (batch, channels, height, width) = graph.by_name(HEATMAPS), drawn.shape
    return tensor is not None and graph.shape(tensor) == (batch, height, width, channels)


def _name_tensors(graph: Graph) -> None:
    """Take the marker out, and give the tensors their fixed names."""
    marker = next(op for op in graph.operators if _is_marker(graph, op))
    heatmaps, marked = int(marker.inputs[0]), int(marker.outputs[0])
    decoded = heatmaps if graph.outputs == [marked] else graph.outputs[0]
    graph.replace_tensor(marked, heatmaps)
    graph.rename(graph.inputs[0], PICTURE)
    graph.rename(decoded, DECODED)
    graph.rename(heatmaps, HEATMAPS)
    graph.name_input(PICTURE)
    graph.end_at(decoded)


def _is_marker(graph: Graph, operator: Any) -> bool:
    return graph.operator_name(operator) == "MAXIMUM" and any(
        graph.is_constant(i) and np.all(graph.values(i) == np.float32(_MARKER)) for i in operator.inputs
    )


def _written(graph: Graph, path: Path) -> ModelFiles:
    graph.write(path)
    return _files(graph, path)


def _files(graph: Graph, path: Path) -> ModelFiles:
    outputs = tuple(graph.tensor_info(tensor) for tensor in graph.outputs)
    return ModelFiles({"model": path}, graph.tensor_info(graph.inputs[0]), outputs, HEATMAPS, graph.operator_counts())


CONVERTER = LiteRt()
