"""The softmax temperature that suits a trained network, for decode forms that have one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import nn

from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_toolkit.predict import predict_cells
from npuface_toolkit.samples import FaceSamples

_CANDIDATES = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0)


def fit_beta(network: nn.Module, samples: FaceSamples, spec: HeatmapSpec) -> float:
    """The beta with which the published form comes nearest to the true points of these samples."""
    form = form_by_name("seed")

    def error(beta: float) -> float:
        tried = replace(spec, beta=beta)
        predicted, truth = predict_cells(network, samples, lambda heatmaps: form.points(heatmaps, tried))
        return float(np.linalg.norm(predicted - truth, axis=-1).mean())

    return min(_CANDIDATES, key=error)
