"""Procedural heads from several sides, and the depth of each, in one picture."""

from __future__ import annotations

import numpy as np

from npuface_toolkit.face3d.head_pictures import draw_head, picture_of
from npuface_toolkit.face3d.pose import Pose
from npuface_toolkit.face3d.rays import RayConfig
from npuface_toolkit.face3d.sheets import Picture

_POSES = (Pose(-45), Pose(-20, 10), Pose(0), Pose(20, -15), Pose(45))


def heads_sheet(seed: int, rows: int = 3, side: int = 160) -> Picture:
    """The first heads of a seed, one a row: five poses, and the depth of the third, near is bright.

    Args:
        seed: as npuface face3d heads takes it.
        rows: how many heads.
        side: of each cell in pixels.
    """
    near = RayConfig().distance - 1
    lines = []
    for number in range(rows):
        head = draw_head(np.random.default_rng((seed, number)))
        views = [picture_of(head, pose, side) for pose in _POSES]
        depth = views[2].depth
        grey = np.where(depth > 0, 1 - (depth - near) / 2, 0).clip(0, 1)[:, :, None]
        cells = [view.rgb for view in views] + [np.repeat(grey, 3, axis=2)]
        lines.append(np.hstack([(cell * 255).round().astype(np.uint8) for cell in cells]))
    return np.vstack(lines)
