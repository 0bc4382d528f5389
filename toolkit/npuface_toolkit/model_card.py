"""The model card: what a checkpoint says about itself, for people."""

from __future__ import annotations

from npuface_toolkit.checkpoint import StudentInfo

_TEMPLATE = """# {name}

A {points}-point face landmark student ({scheme}) for a {size} x {size} RGB crop: a MobileNetV2 hourglass with boundary,
landmark and compensation branches, {parameters:,} parameters. It was trained with the `{decode}` decode in place.

| | |
|---|---|
| Training data | {data} |
| Split | by identity: {held_identities} identities held out, {training_identities} trained on |
| Faces | {training_faces} trained on, {held_faces} held out |
| Command | `{command}` |
| Seed | {seed} |
| Hardware and time | {hardware}, {hours:.1f} h |
| Held-out NME | **{nme:.2%}** on {held_faces} faces, {points} points |
| Held-out failure rate (NME > 10 %) | {failure_rate:.2%} |
| Held-out AUC to 10 % | {auc:.3f} |

NME: mean over faces of the mean point distance over the distance of the outer eye corners; the crop is the square of
{margin} times the longer side of the box around the true points.

## Limits

{limits}
"""


def model_card(name: str, info: StudentInfo) -> str:
    """The card as Markdown. Every number comes from the checkpoint's own facts."""
    return _TEMPLATE.format(
        name=name,
        points=info.config.points,
        scheme=info.scheme,
        size=info.config.input_size,
        decode=info.decode,
        margin=info.margin,
        **info.facts,
    )
