"""The cost of every decode form behind the student body, by the vendor compiler's estimate.

python -m npuface_toolkit.decode_cost prints the table; --json prints the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

import torch

from npuface_benchmarks.decode_cost import DecodeCost, decode_costs, markdown_costs
from npuface_export.decode import FORMS, HeatmapSpec
from npuface_export.target import target_by_name
from npuface_toolkit.student import HeatmapNetwork, Student, StudentConfig

TARGETS = ("ethos-u55-128", "ethos-u55-256", "ethos-u65-512", "ethos-u85-256")
CONFIG = StudentConfig(input_size=256, points=98, boundaries=15)


def student_costs(
    forms: Sequence[str] = (), targets: Sequence[str] = TARGETS, config: StudentConfig = CONFIG
) -> Iterator[DecodeCost]:
    """What forms cost behind a student of random weights, which cost what trained ones do but for their compression.

    Args:
        forms: names; all that decode heatmaps without any.
        targets: names of targets with a compiler that estimates.
        config: the student's shape.
    """
    torch.manual_seed(0)
    network = HeatmapNetwork(Student(config)).eval()
    spec = HeatmapSpec(config.points, config.heatmap_size, config.heatmap_size)
    chosen = [FORMS[name] for name in forms or sorted(FORMS)]
    shape = (config.input_size, config.input_size)
    return decode_costs(network, shape, spec, chosen, [target_by_name(name) for name in targets])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m npuface_toolkit.decode_cost", description=__doc__)
    parser.add_argument("forms", nargs="*", choices=[*sorted(FORMS), []], help="decode forms; all without any")
    parser.add_argument("--target", action="append", help="a target; repeat it for more")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    costs = []
    for cost in student_costs(options.forms, options.target or TARGETS):
        print(f"{cost.form} on {cost.target}", file=sys.stderr)
        costs.append(cost)
    print(json.dumps([cost.as_json() for cost in costs], indent=2) if options.json else markdown_costs(costs))


if __name__ == "__main__":
    main()
