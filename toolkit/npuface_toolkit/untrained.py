"""A checkpoint of a configuration's network with random weights: to measure what it costs before it is trained.

python -m npuface_toolkit.untrained awing-68 --scheme ibug-68 --out awing-68.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import StudentInfo, save_student
from npuface_toolkit.network_cost import multiply_accumulates, parameters
from npuface_toolkit.schemes import scheme_by_name
from npuface_toolkit.student import Student
from npuface_toolkit.training_config import network_shape, read_config
from npuface_toolkit.training_run import find_config


def write_untrained(config: str, scheme: str, out: Path) -> Student:
    """Write the checkpoint, which says that it is not trained.

    Returns:
        The network.

    Raises:
        UserError: configuration or scheme are not known, or the file cannot be written.
    """
    read = read_config(find_config(config))
    shape = network_shape(scheme_by_name(scheme), read)
    torch.manual_seed(read.seed)
    info = StudentInfo(shape, scheme, read.decode, read.threshold, facts={"trained": False})
    network = Student(shape).eval()
    save_student(out, network.state_dict(), info)
    return network


def main() -> int:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a TOML file, or a shipped configuration")
    parser.add_argument("--scheme", default="ibug-68", help="ibug-68 or wflw-98")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        network = write_untrained(given.config, given.scheme, given.out)
    except UserError as error:
        print(f"error: {error.what}\n  why: {error.why}\n  fix: {error.fix}", file=sys.stderr)
        return 2
    cost = f"{parameters(network) / 1e6:.2f} M parameters, {multiply_accumulates(network) / 1e9:.3f} GMAC"
    print(f"{given.out}: {cost} at {network.config.input_size} px, not trained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
