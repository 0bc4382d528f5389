"""Toolchains: vendor tools whose pins clash with ours, each in an environment of its own, called as a process."""

from npuface_export.toolchains.exchange import call_worker
from npuface_export.toolchains.install import install_toolchain, remove_toolchain
from npuface_export.toolchains.toolchain import Toolchain, toolchain_by_name, toolchains

__all__ = [
    "Toolchain",
    "call_worker",
    "install_toolchain",
    "remove_toolchain",
    "toolchain_by_name",
    "toolchains",
]
