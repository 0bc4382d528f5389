"""A trained student as the export takes it."""

from __future__ import annotations

from npuface_export.network import Network
from npuface_toolkit.checkpoint import find_checkpoint, load_student
from npuface_toolkit.samples import MEAN, STD
from npuface_toolkit.student import STRIDE, HeatmapNetwork


def student_network(checkpoint: str) -> Network:
    """Load a checkpoint (a file, or the name of a shipped student) for export.

    Raises:
        UserError: see load_student.
    """
    student, info = load_student(checkpoint)
    return Network(
        name=find_checkpoint(checkpoint).stem,
        module=HeatmapNetwork(student),
        input_shape=(info.config.input_size, info.config.input_size),
        heatmap_shape=(info.config.heatmap_size, info.config.heatmap_size),
        cell_scale=(STRIDE, STRIDE),
        cell_offset=((STRIDE - 1) / 2, (STRIDE - 1) / 2),
        points=info.config.points,
        scheme=info.scheme,
        mean=(MEAN, MEAN, MEAN),
        std=(STD, STD, STD),
        margin=info.margin,
        threshold=info.threshold,
        beta=info.beta,
        sigma=info.sigma,
        decode=info.decode,
    )
