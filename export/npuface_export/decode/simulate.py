"""What INT8 does to a decode form, without an engine: every tensor inside it rounded to what its bits can hold.

A simulation in float: it rounds as LiteRT's reference kernels round tensors, but knows nothing of an engine's own
integer arithmetic. It works on any form, for it watches the operators as torch runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from npuface_export.decode.form import DecodeForm, HeatmapSpec, moments_of

_MOVES = {"view", "_unsafe_view", "reshape", "permute", "transpose", "slice", "expand", "clone", "detach", "alias"}
"""Operators that move values and keep their scale."""
_HEADROOM = 1.5
"""Of the 16-bit ranges, as the quantizer gives it."""


class _Rounding(TorchDispatchMode):
    """Rounds what each operator returns to 8 bits, or to 16 while `wide` is set; ranges are those of the tensor."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.wide = False
        self._rounded_from: tuple[Tensor, Tensor] | None = None

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name == "relu":  # fused: the operator in front is not rounded before it
            args = (self._exact(args[0]),)
        if name == "convolution":
            args = (args[0], _rounded_weights(args[1]), *args[2:])
        out = func(*args, **(kwargs or {}))
        if isinstance(out, tuple):  # a max-pool also tells where the maximum was
            return (self._rounded(name, out[0]), *out[1:])
        return self._rounded(name, out)

    def _rounded(self, name: str, values: Any) -> Any:
        if name in _MOVES or not isinstance(values, Tensor) or not values.is_floating_point():
            return values
        if name == "_softmax":
            rounded = torch.round(values * 256).clamp(0, 255) / 256
        else:
            rounded = _sixteen_bits(values) if self.wide else eight_bits(values)
        self._rounded_from = (rounded, values)
        return rounded

    def _exact(self, tensor: Tensor) -> Tensor:
        """What a tensor was before it was rounded, if it is the one that was rounded last."""
        if self._rounded_from is not None and self._rounded_from[0] is tensor:
            return self._rounded_from[1]
        return tensor


def eight_bits(values: Tensor) -> Tensor:
    """Values as an INT8 tensor with one scale and zero point holds them, its range theirs and 0."""
    low, high = values.min().clamp(max=0), values.max().clamp(min=0)
    scale = ((high - low) / 255).clamp(min=1e-12)
    zero = torch.round(-low / scale)
    return (torch.round(values / scale + zero).clamp(0, 255) - zero) * scale


def _sixteen_bits(values: Tensor) -> Tensor:
    scale = (values.abs().max() * _HEADROOM / 32767).clamp(min=1e-12)
    return torch.round(values / scale) * scale


def _rounded_weights(weights: Tensor) -> Tensor:
    """Symmetric 8 bits, a scale for each output channel."""
    scale = (weights.abs().amax(dim=(1, 2, 3), keepdim=True) / 127).clamp(min=1e-12)
    return torch.round(weights / scale) * scale


def int8_output(form: DecodeForm, spec: HeatmapSpec, heatmaps: Tensor, wide: bool = True) -> Tensor:
    """What a form gives of heatmaps in INT8, simulated.

    Args:
        form: any; its submodules named `moments` get 16 bits, all else 8.
        spec: what it is built for.
        heatmaps: float32 [N, C, H, W] (see HeatmapSpec.input_shape). They are rounded to 8 bits first, and every
            range is taken over all N of them, as a calibration on the same pictures would.
        wide: False where the target has nothing but 8 bits, for the moments too.

    Returns:
        The output of the form's module for each, as real numbers.
    """
    module = form.build(spec).eval()
    rounding = _Rounding()
    for part in moments_of(module) if wide else ():
        part.register_forward_pre_hook(_setter(rounding, True))
        part.register_forward_hook(_setter(rounding, False))
    with torch.no_grad():
        entered = eight_bits(heatmaps)
        with rounding:
            output: Tensor = module(entered)
    return output


def _setter(rounding: _Rounding, wide: bool) -> Callable[..., None]:
    def hook(module: nn.Module, *values: Any) -> None:
        rounding.wide = wide

    return hook
