"""simcc-host: the logits of both classifiers leave the NPU, numpy takes their softmax."""

from __future__ import annotations

from torch import nn

from npuface_export.decode.form import DecodeForm
from npuface_export.decode.simcc import classifier_points

FORM = DecodeForm(
    name="simcc-host",
    summary="the classifiers' logits leave the NPU, numpy takes their softmax",
    needs=lambda spec: (),
    points=classifier_points,
    build=lambda spec: nn.Identity(),
    finish="classifiers",
    finish_params=lambda spec: {"beta": spec.beta},
    kinds=("simcc",),
)
