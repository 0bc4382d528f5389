"""What the common steps of a decode ask of an NPU, with their work for one face."""

from __future__ import annotations

from npuface_export.decode.form import HeatmapSpec, Need


def elementwise(operator: str, spec: HeatmapSpec) -> Need:
    """An operator on every cell of every heatmap."""
    return Need(operator, work=spec.points * spec.height * spec.width)


def depthwise(spec: HeatmapSpec, kernel: tuple[int, int]) -> Need:
    """A depthwise convolution over the heatmaps, without padding."""
    return Need("Conv", kernel, (1, 1), spec.points * _windows(spec, kernel) * kernel[0] * kernel[1])


def maximum_needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    """What MapMaximum asks."""
    k, h, w = spec.points, spec.height, spec.width
    return Need("MaxPool", (h, 1), (1, 1), k * h * w), Need("MaxPool", (1, w), (1, 1), k * w)


def softmax_needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    """What MapSoftmax asks."""
    return (
        elementwise("Mul", spec),
        elementwise("Reshape", spec),
        elementwise("Softmax", spec),
        elementwise("Reshape", spec),
    )


def marginals_needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    """What Marginals asks."""
    return depthwise(spec, (spec.height, 1)), depthwise(spec, (1, spec.width))


def moments_needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    """What Moments asks."""
    k, h, w = spec.points, spec.height, spec.width
    across, down = Need("Conv", (1, w), (1, 1), k * w), Need("Conv", (h, 1), (1, 1), k * h)
    return across, across, down, down, Need("Concat", work=4 * k)


def map_sums_needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    """What MapSums asks."""
    conv = depthwise(spec, (spec.height, spec.width))
    return conv, conv, conv, Need("Concat", work=3 * spec.points)


def _windows(spec: HeatmapSpec, kernel: tuple[int, int]) -> int:
    return (spec.height - kernel[0] + 1) * (spec.width - kernel[1] + 1)
