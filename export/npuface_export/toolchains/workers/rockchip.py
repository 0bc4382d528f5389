"""Build an ONNX model with RKNN-Toolkit2 and run pictures through its simulator, called by npuface.

Request: model (ONNX file), platform, disable_rules, artifact (file to write), pictures (file of float32
[N, 1, 3, H, W], or null). Response: printed (file of all that the toolkit printed), graph (ONNX file of its own graph),
outputs (file of what the simulator made, by "PICTURE-OUTPUT", or null).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRINTED = "printed.txt"
GRAPHS = "check[0-9]_*.onnx"
"""The toolkit's own graph, which it leaves after each step that changes it; the last one is what it builds."""
OUTPUTS = "outputs.npz"


class RefusedError(Exception):
    """The toolkit does not do it; the text says why."""


def main(request_path: str, response_path: str) -> None:
    """Answer a request."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    finish = _copy_printed(PRINTED)
    try:
        answer: Mapping[str, Any] = _build(request)
    except RefusedError as error:
        fix = "take a decode or a recipe that the chip computes, or another target"
        answer = {"error": {"why": str(error), "fix": fix}}
    finally:
        finish()
    Path(response_path).write_text(json.dumps(answer), encoding="utf-8")


def _copy_printed(name: str) -> Callable[[], None]:
    """Let all that is printed, by C code too, also go into a file. Returns what ends that.

    A process of its own copies it, so that what is printed before a crash is in the log as well.
    """
    kept = os.dup(1), os.dup(2)
    source, sink = os.pipe()
    tee = subprocess.Popen(["tee", name], stdin=source)
    os.close(source)
    for descriptor in (1, 2):
        os.dup2(sink, descriptor)
    os.close(sink)

    def finish() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in zip((1, 2), kept, strict=True):
            os.dup2(original, descriptor)
        tee.wait()

    return finish


def _build(request: Mapping[str, Any]) -> Mapping[str, Any]:
    from rknn.api import RKNN

    toolkit = RKNN(verbose=True)
    _done("config", toolkit.config, target_platform=request["platform"], disable_rules=request["disable_rules"])
    _done("load_onnx", toolkit.load_onnx, model=request["model"])
    _done("build", toolkit.build, do_quantization=False)
    _done("export_rknn", toolkit.export_rknn, request["artifact"])
    pictures = request["pictures"]
    if pictures is not None:
        _simulate(toolkit, np.load(pictures, allow_pickle=False))
    toolkit.release()
    graphs = sorted(str(path) for path in Path().glob(GRAPHS))
    if not graphs:
        raise RefusedError("it left no graph of its own, from which its layers could be told")
    return {"printed": PRINTED, "graph": graphs[-1], "outputs": None if pictures is None else OUTPUTS}


def _simulate(toolkit: Any, pictures: NDArray[np.float32]) -> None:
    """The simulator runs only in the object that built the model."""
    _done("init_runtime", toolkit.init_runtime)
    made: dict[str, Any] = {}
    for number, picture in enumerate(pictures):
        outputs = toolkit.inference(inputs=[picture], data_format="nchw")
        if outputs is None:
            raise RefusedError("its simulator gave no outputs")
        made.update({f"{number}-{place}": output for place, output in enumerate(outputs)})
    np.savez(OUTPUTS, **made)


def _done(name: str, call: Callable[..., int | None], *arguments: Any, **options: Any) -> None:
    """Call the toolkit. It says that it failed by a code, or by a ValueError whose last line tells."""
    try:
        code = call(*arguments, **options)
    except ValueError as error:
        raise RefusedError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from error
    if code not in (0, None):
        raise RefusedError(f"{name} returned {code}")


if __name__ == "__main__":
    main(*sys.argv[1:])
