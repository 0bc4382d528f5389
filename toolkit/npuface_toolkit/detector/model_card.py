"""The model card of a detector: what it is, what it was trained on, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from npuface_toolkit.detector.network import FaceDetector

LIMITS = """\
What is wrong in its labels it learnt as well, above all where another detector made them. Faces smaller than about 12
pixels in its input are lost, and so are many that are turned by more than 30 degrees in the picture or seen from the
side. Measure on your own pictures before you rely on it; it must not be used to identify people."""


def detector_card(name: str, network: FaceDetector, facts: Mapping[str, Any]) -> str:
    """The card as Markdown. `facts` are those of the checkpoint."""
    config, found = network.config, facts["held out"]
    parameters = sum(weight.numel() for weight in network.parameters())
    rows = [
        ("input", f"RGB, {config.width} x {config.height} pixels, (rgb - 127.5) / 127.5"),
        ("output", f"{config.cells[1]} x {config.cells[0]} cells of a score and a box, the tight box of the landmarks"),
        ("parameters", f"{parameters / 1e6:.2f} M"),
        ("command", f"`{facts['command']}`"),
        ("data", ", ".join(facts["data"])),
        ("pictures", f"{facts['pictures']['trained on']} trained on, {facts['pictures']['held out']} held out"),
        ("training", f"{facts['hours']} h on {facts['machine']}"),
        ("least score", f"{facts['min_score']}, the best F1 on the held-out pictures"),
        (
            "held-out pictures, against the labels' boxes at IoU 0.5",
            f"recall {found['recall']:.1%} of {found['faces']} faces, {found['false']:.2f} false alarms a picture, "
            f"average precision {found['average_precision']:.3f}",
        ),
        *((key, str(value)) for key, value in facts.get("notes", {}).items()),
    ]
    table = "\n".join(f"| {what} | {value} |" for what, value in rows)
    return f"# {name}\n\nA face detector for NPUs.\n\n| what | value |\n|---|---|\n{table}\n\n## Limits\n\n{LIMITS}\n"
