"""What compilers have in common that run in a toolchain of their own, by the worker of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npuface_export.toolchains import call_worker, toolchain_by_name
from npuface_export.toolchains.exchange import WORKERS


class InToolchain:
    """Base of such a compiler (see compiler.Compiler).

    Attributes:
        toolchain: the toolchain's name, and the worker's.
    """

    toolchain: str

    def version(self) -> str:
        """The toolchain's version (see compiler.Compiler.version)."""
        return toolchain_by_name(self.toolchain).require()

    def work(self, request: Mapping[str, Any], folder: Path, task: str, timeout: float) -> Mapping[str, Any]:
        """Run the worker on a request in `folder` for at most `timeout` seconds (see toolchains.call_worker)."""
        worker = WORKERS / f"{self.toolchain}.py"
        return call_worker(toolchain_by_name(self.toolchain), worker, request, folder, task=task, timeout=timeout)
