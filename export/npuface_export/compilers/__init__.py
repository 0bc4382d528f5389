"""Vendor compilers, one file each. A module in this folder that defines COMPILER is one, under its own name."""

from __future__ import annotations

import importlib
import pkgutil

from npuface_export.compilers.compiler import ESTIMATED, EXACT_SIZE, Compilation, Compiler, Emulation, Estimate
from npuface_export.compilers.placement import CpuOperator, PlacedOperator, Placement
from npuface_runtime.errors import UserError

__all__ = [
    "ESTIMATED",
    "EXACT_SIZE",
    "Compilation",
    "Compiler",
    "CpuOperator",
    "Emulation",
    "Estimate",
    "PlacedOperator",
    "Placement",
    "compiler_by_name",
]

_SHARED = ("compiler", "in_toolchain", "placement", "onnx_placement", "rockchip_graph", "rockchip_log")


def compiler_by_name(name: str) -> Compiler:
    """The compiler that a target names.

    Raises:
        UserError: there is none of that name.
    """
    known = sorted(info.name for info in pkgutil.iter_modules(__path__) if info.name not in _SHARED)
    if name not in known:
        raise UserError(
            f"unknown compiler {name!r}", f"the compilers are {', '.join(known)}", "correct the target's file"
        )
    compiler: Compiler = importlib.import_module(f"{__name__}.{name}").COMPILER
    return compiler
