"""A torch module that runs an ONNX graph -> one whose convolutions are layers, for tools that quantize layers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx, nn
from torch.nn import functional

from npuface_export.foreign.onnx_module import OnnxModule

_PARAMETERS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


class _OnePicture(nn.Module):
    """The module with one named argument, as torch.fx traces it."""

    def __init__(self, network: OnnxModule) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """[1, 3, H, W] -> the network's output."""
        made: Tensor = self.network(pictures)
        return made


def with_layers(network: OnnxModule) -> fx.GraphModule:
    """The same computation in torch's own functions and nn.Conv2d layers, which can be saved and opened elsewhere."""
    traced = fx.symbolic_trace(_OnePicture(network))
    for node in list(traced.graph.nodes):
        node.type = None  # an annotation is a string here, which torch.save takes for the name of a class
        if node.op != "call_function" or node.target is not functional.conv2d:
            continue
        given = dict(zip(_PARAMETERS, node.args, strict=False)) | node.kwargs
        name = f"{given['weight'].target.rpartition('.')[2]}_{node.name}"  # tells which weights it has
        traced.add_submodule(name, _layer(traced, given))
        with traced.graph.inserting_before(node):
            made = traced.graph.call_module(name, (given["input"],))
        node.replace_all_uses_with(made)
        traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    used = {node.target for node in traced.graph.nodes if node.op == "get_attr"}
    for name in [name for name, _ in traced.named_buffers() if name not in used]:
        owner, _, leaf = name.rpartition(".")
        delattr(traced.get_submodule(owner), leaf)
    traced.recompile()
    return traced.eval()


def _layer(traced: fx.GraphModule, given: Mapping[str, Any]) -> nn.Conv2d:
    weight, groups = traced.get_buffer(given["weight"].target), given["groups"]
    outwards, inwards, *kernel = weight.shape
    settings = {name: given[name] for name in ("stride", "padding", "dilation", "groups")}
    has_bias = given.get("bias") is not None
    layer = nn.Conv2d(inwards * groups, outwards, (kernel[0], kernel[1]), bias=has_bias, **settings)
    values = {"weight": weight} | ({"bias": traced.get_buffer(given["bias"].target)} if has_bias else {})
    layer.load_state_dict(values)
    return layer
