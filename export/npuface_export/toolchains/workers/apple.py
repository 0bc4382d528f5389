"""Convert a traced torch network to Core ML: python apple.py REQUEST RESPONSE, two JSON files.

Knows nothing of npuface. The package is written the same way every time: without the date, and with identifiers that
are made of the paths that they stand for.
"""

from __future__ import annotations

import json
import sys
import uuid
import zipfile
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import torch
from coremltools.proto import MIL_pb2

_DATE = "com.github.apple.coremltools.conversion_date"
_PACKAGE = "model.mlpackage"


def main(request: Path, response: Path) -> None:
    """Answer what is in the package, or why it refuses."""
    asked = json.loads(request.read_text(encoding="utf-8"))
    try:
        made = _converted(asked)
    except (ValueError, RuntimeError, NotImplementedError) as error:  # what Core ML Tools raises for an operator
        answer: dict[str, Any] = {"error": {"why": str(error), "fix": "choose another decode form or network"}}
    else:
        package = Path(_PACKAGE)
        made.save(str(package))
        specification = coremltools.models.MLModel(str(package), skip_model_load=True).get_spec()
        _make_reproducible(package, specification)
        _zip(package, Path(asked["artifact"]))
        answer = _description(specification)
    response.write_text(json.dumps(answer), encoding="utf-8")


def _converted(asked: dict[str, Any]) -> Any:
    return coremltools.convert(
        torch.jit.load(asked["traced"]).eval(),
        inputs=[coremltools.TensorType(asked["input"], tuple(asked["shape"]), np.float32)],
        outputs=[coremltools.TensorType(name, dtype=np.float32) for name in asked["outputs"]],
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT16,
        minimum_deployment_target=coremltools.target[asked["deployment_target"]],
    )


def _make_reproducible(package: Path, specification: Any) -> None:
    specification.description.metadata.userDefined.pop(_DATE, None)
    text = (package / "Manifest.json").read_text(encoding="utf-8")
    items = json.loads(text)["itemInfoEntries"]
    for identifier, item in items.items():
        text = text.replace(identifier, str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])))
        if item["path"].endswith(".mlmodel"):
            (package / "Data" / item["path"]).write_bytes(specification.SerializeToString(deterministic=True))
    (package / "Manifest.json").write_text(json.dumps(json.loads(text), indent=4, sort_keys=True), encoding="utf-8")


def _zip(package: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(found for found in package.rglob("*") if found.is_file()):
            archive.writestr(zipfile.ZipInfo(file.as_posix()), file.read_bytes())


def _description(specification: Any) -> dict[str, Any]:
    function = specification.mlProgram.functions["main"]
    operations = function.block_specializations[function.opset].operations
    return {
        "inputs": {tensor.name: list(tensor.type.multiArrayType.shape) for tensor in specification.description.input},
        "outputs": {tensor.name: list(tensor.type.multiArrayType.shape) for tensor in specification.description.output},
        "operators": [
            [operation.type, MIL_pb2.DataType.Name(operation.outputs[0].type.tensorType.dataType)]
            for operation in operations
            if operation.type != "const"
        ],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
