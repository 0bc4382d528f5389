"""Compile an OpenVINO model for an Intel NPU: python intel_npu.py REQUEST RESPONSE, two JSON files.

Knows nothing of npuface. The compiler's log goes to the standard output. Without a model it only says which compiler
there is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import openvino

_DEVICE = "NPU"


def main(request: Path, response: Path) -> None:
    """Answer {"compiler": its version as one number, "openvino": version}, or {"refused": the vendor's words}."""
    asked = json.loads(request.read_text(encoding="utf-8"))
    try:
        answer = _answer(asked)
    except RuntimeError as error:  # whatever OpenVINO refuses
        answer = {"refused": str(error)}
    response.write_text(json.dumps(answer), encoding="utf-8")


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    core = openvino.Core()
    found = {"compiler": int(core.get_property(_DEVICE, "NPU_COMPILER_VERSION")), "openvino": openvino.__version__}
    if "model" in asked:
        compiled = core.compile_model(asked["model"], _DEVICE, asked["properties"])
        Path(asked["artifact"]).write_bytes(compiled.export_model().getvalue())
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
