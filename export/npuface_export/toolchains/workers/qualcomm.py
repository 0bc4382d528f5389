"""Compile a QDQ ONNX model for Qualcomm's HTP and run pictures through its x86 emulator, with onnxruntime-qnn.

request.json: {"model": path, "options": of the execution provider, "artifact": file, "pictures": file or null}
response.json: {"npu": names of the nodes that the provider took, "reasons": {node left to the CPU: why}, "target": what
the provider says that it compiled for, "context_bytes": size of the context binaries, "nodes": operators of the
artifact}, and outputs.npz, in which "PICTURE_OUTPUT" is an array.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import onnxruntime_qnn
from onnxruntime.capi import onnxruntime_pybind11_state as native

PROVIDER = "QNNExecutionProvider"
FAILURES = tuple(v for v in vars(native).values() if isinstance(v, type) and issubclass(v, Exception))
"""ONNX Runtime's exceptions have no base of their own."""
WARNINGS = 2
TRACES = Path("traces")
UNSUPPORTED = re.compile(r"\{ name: (?P<name>[^,]+), type: (?P<type>\w+) \}")
INVALID = re.compile(
    r"backendValidateOpConfig\(\) failed for node `(?P<name>[^`]+)` "
    r"of type `(?P<type>\w+)` with error code (?P<code>\d+)"
)


class RefusedError(Exception):
    """The vendor's tool makes nothing of the model."""


@contextmanager
def printed() -> Iterator[list[str]]:
    """What the native libraries print meanwhile, which ends up in the log as well."""
    text: list[str] = []
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as stream:
        os.dup2(stream.fileno(), 2)
        try:
            yield text
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            stream.seek(0)
            text.append(stream.read().decode(errors="replace"))
            sys.stderr.write(text[0])


def open_session(
    model: str, options: Mapping[str, str], strict: bool, artifact: str | None = None
) -> onnxruntime.InferenceSession:
    """A session on the HTP; strict ones fail where a node is left to the CPU. It writes an artifact if one is named."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = WARNINGS
    entries = {"session.record_ep_graph_assignment_info": "1", "session.disable_cpu_ep_fallback": str(int(strict))}
    if artifact is not None:
        Path(artifact).unlink(missing_ok=True)
        entries |= {"ep.context_enable": "1", "ep.context_embed_mode": "1", "ep.context_file_path": artifact}
        options = {**options, "enable_framework_op_trace": "1", "framework_op_trace_dir": str(TRACES)}
    for key, value in entries.items():
        settings.add_session_config_entry(key, value)
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == PROVIDER]
    settings.add_provider_for_devices(devices[:1], {"backend_type": "htp", **options})
    return onnxruntime.InferenceSession(model, settings)


def compiled(request: Mapping[str, Any]) -> tuple[onnxruntime.InferenceSession, bool]:
    """A session that has written the artifact, and whether nothing in it is left to the CPU.

    Raises:
        RefusedError: neither all of the model nor a part of it can be compiled.
    """
    model, options, artifact = request["model"], request["options"], request["artifact"]
    with printed() as log:
        try:
            return open_session(model, options, True, artifact), True
        except FAILURES as error:
            failure = str(error)
    if not UNSUPPORTED.search(log[0]):
        raise RefusedError(failure)
    try:
        return open_session(model, options, False, artifact), False
    except FAILURES as error:
        raise RefusedError(f"it leaves {named(log[0])} to the CPU and cannot compile the rest ({error})") from None


def named(log: str) -> str:
    """The nodes that the provider does not take, each with its reason, from what it printed."""
    codes = {found["name"]: found for found in INVALID.finditer(log)}
    nodes = []
    for name, kind in dict.fromkeys((found["name"], found["type"]) for found in UNSUPPORTED.finditer(log)):
        code = codes.get(name)
        why = f": backendValidateOpConfig refuses {code['type']} with error code {code['code']}" if code else ""
        nodes.append(f"{kind} {re.sub(r'_token_[0-9]+$', '', name)}{why}")
    return "; ".join(nodes)


def emulate(names: list[str], request: Mapping[str, Any], strict: bool) -> None:
    """Run the pictures through the artifact, and write what comes out."""
    session = open_session(request["artifact"], request["options"], strict)
    entrance = session.get_inputs()[0].name
    outputs = {}
    for i, picture in enumerate(np.load(request["pictures"], allow_pickle=False)):
        for j, values in enumerate(session.run(names, {entrance: picture[None]})):
            outputs[f"{i}_{j}"] = values
    np.savez("outputs.npz", **outputs)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what a request asks."""
    onnxruntime.register_execution_provider_library(PROVIDER, onnxruntime_qnn.get_library_path())
    session, strict = compiled(request)
    graph = onnx.load(request["artifact"]).graph
    if request["pictures"] is not None:
        emulate([output.name for output in session.get_outputs()], request, strict)
    trace = json.loads(next(iter(TRACES.glob("*.json"))).read_text())
    parts = session.get_provider_graph_assignment_info()
    return {
        "npu": [node.name for part in parts if part.ep_name == PROVIDER for node in part.get_nodes()],
        "reasons": {node["node_name"]: node["reason"] for node in trace["unsupported_nodes"]},
        "target": trace["soc_traces"][0]["compilation_target"],
        "nodes": [node.op_type for node in graph.node],
        "context_bytes": sum(len(attribute.s) for node in graph.node for attribute in contexts(node)),
    }


def contexts(node: onnx.NodeProto) -> list[onnx.AttributeProto]:
    """The context binaries that a node holds."""
    return [attribute for attribute in node.attribute if attribute.name == "ep_cache_context"]


def main() -> None:
    """Read the request, and write the response."""
    request = json.loads(Path(sys.argv[1]).read_text())
    try:
        response = answer(request)
    except RefusedError as refused:
        fix = "choose another decode form or recipe, or simplify the network there"
        response = {"error": {"why": f"Qualcomm's tool refuses the model: {refused}", "fix": fix}}
    Path(sys.argv[2]).write_text(json.dumps(response))


main()
