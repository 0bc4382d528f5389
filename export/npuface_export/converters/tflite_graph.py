"""TFLite files as graphs: read, inspect, cut, write. One subgraph, one input, static shapes."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from npuface_runtime.errors import UserError
from npuface_runtime.manifest import TensorInfo

_NAME_OF_CODE: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_NAME_OF_TYPE: dict[int, str] = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}
PICTURE, HEATMAPS, DECODED = "picture", "heatmaps", "decoded"
"""Names of the tensor that enters, of the heatmaps, and of what the decode makes of them."""
_IDENTIFIER = b"TFL3"
_FIX = "give a .tflite file that npuface export wrote"


class Graph:
    """The single subgraph of a TFLite model.

    Tensors and operators are the schema's own objects; tensors are referred to by their index in `tensors`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._body = model.subgraphs[0]

    @classmethod
    def read(cls, path: Path) -> Graph:
        """Read a file.

        Raises:
            UserError: it is missing, no TFLite model, or has more than one subgraph or signature.
        """
        if not path.is_file():
            raise UserError(f"cannot read the model {path.name}", "there is no such file", _FIX)
        return cls.from_bytes(path.read_bytes(), path.name)

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> Graph:
        """Read a file's content; `name` is for the messages. Raises UserError as `read` does."""
        what = f"cannot read the model {name}"
        if content[4:8] != _IDENTIFIER:
            raise UserError(what, "it is not a TFLite flatbuffer", _FIX)
        try:
            model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
        except (struct.error, IndexError, ValueError, TypeError) as error:
            raise UserError(what, f"its flatbuffer is damaged ({error})", _FIX) from None
        if len(model.subgraphs or []) != 1 or len(model.signatureDefs or []) != 1:
            raise UserError(what, "it does not have exactly one subgraph and one signature", _FIX)
        return cls(model)

    def write(self, path: Path) -> None:
        """Write the model to a file."""
        path.write_bytes(self.content())

    def content(self) -> bytes:
        """What stands in the model's file."""
        for buffer in self.model.buffers:
            if buffer.data is not None:  # what is no array would be packed byte by byte, which takes minutes
                buffer.data = np.frombuffer(bytes(buffer.data), np.uint8)
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self.model))

    @property
    def tensors(self) -> list[Any]:
        """Every tensor, constants included."""
        return list(self._body.tensors)

    @property
    def operators(self) -> list[Any]:
        """Every operator, in the order of execution."""
        return list(self._body.operators)

    @property
    def inputs(self) -> list[int]:
        """The tensors that enter the model."""
        return [int(i) for i in self._body.inputs]

    @property
    def outputs(self) -> list[int]:
        """The tensors that leave the model."""
        return [int(i) for i in self._body.outputs]

    def name(self, tensor: int) -> str:
        """The name of a tensor."""
        return str(self._body.tensors[tensor].name.decode())

    def rename(self, tensor: int, name: str) -> None:
        """Give a tensor another name."""
        self._body.tensors[tensor].name = name.encode()

    def dtype(self, tensor: int) -> str:
        """A tensor's element type by numpy's name."""
        return _NAME_OF_TYPE[self._body.tensors[tensor].type]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's shape."""
        shape = self._body.tensors[tensor].shape
        return () if shape is None else tuple(int(n) for n in shape)

    def is_constant(self, tensor: int) -> bool:
        """Whether a tensor's values stand in the file."""
        return self.model.buffers[self._body.tensors[tensor].buffer].data is not None

    def values(self, tensor: int) -> np.ndarray[Any, Any]:
        """The stored values of a constant."""
        data = self.model.buffers[self._body.tensors[tensor].buffer].data
        return np.frombuffer(bytes(data), self.dtype(tensor)).reshape(self.shape(tensor))

    def by_name(self, name: str) -> int | None:
        """The tensor of that name; None if there is none."""
        return next((i for i in range(len(self._body.tensors)) if self.name(i) == name), None)

    def operator_name(self, operator: Any) -> str:
        """The builtin name of an operator, or CUSTOM."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return _NAME_OF_CODE[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def custom_code(self, operator: Any) -> str | None:
        """What a CUSTOM operator is called; None for a builtin one."""
        code = self.model.operatorCodes[operator.opcodeIndex].customCode
        return None if code is None else bytes(code).decode()

    def operator_counts(self) -> Mapping[str, int]:
        """How often each operator occurs, in alphabetical order."""
        return dict(sorted(Counter(map(self.operator_name, self._body.operators)).items()))

    def activations(self, operator: Any) -> Iterator[int]:
        """The tensors that an operator reads (without constants) and writes."""
        yield from (int(i) for i in operator.inputs if i >= 0 and not self.is_constant(i))
        yield from (int(i) for i in operator.outputs)

    def tensor_info(self, tensor: int) -> TensorInfo:
        """An activation as the manifest describes it."""
        quantization = self._body.tensors[tensor].quantization
        scale = zero_point = None
        if quantization is not None and quantization.scale is not None:
            scale, zero_point = float(quantization.scale[0]), int(quantization.zeroPoint[0])
        return TensorInfo(self.name(tensor), self.shape(tensor), self.dtype(tensor), "NHWC", scale, zero_point)

    def note(self, name: str) -> Any:
        """What was noted under a name in the file's metadata; None if nothing was."""
        entry = self._noted(name)
        return None if entry is None else json.loads(bytes(self.model.buffers[entry.buffer].data))

    def set_note(self, name: str, content: Any) -> None:
        """Keep plain data under a name in the file's metadata, which no engine reads."""
        entry = self._noted(name)
        if entry is None:
            entry = schema.MetadataT(name.encode(), len(self.model.buffers))
            self.model.metadata = [*(self.model.metadata or []), entry]
            self.model.buffers.append(schema.BufferT())
        self.model.buffers[entry.buffer].data = np.frombuffer(json.dumps(content).encode(), np.uint8)

    def _noted(self, name: str) -> Any:
        return next((entry for entry in self.model.metadata or [] if entry.name == name.encode()), None)

    def name_input(self, name: str) -> None:
        """Name the input in the signature."""
        self.model.signatureDefs[0].inputs[0].name = name.encode()

    def replace_tensor(self, old: int, new: int) -> None:
        """Let every reader of one tensor read another."""
        for operator in self._body.operators:
            operator.inputs = [new if i == old else i for i in operator.inputs]

    def remove(self, operator: Any) -> None:
        """Take an operator out; whoever reads its outputs must read something else by then."""
        self._body.operators = [op for op in self._body.operators if op is not operator]

    def raise_version(self, operator: Any, version: int) -> None:
        """Let an operator's code be at least of that version."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        code.version = max(code.version, version)

    def copy_ending_at(self, tensor: int) -> Graph:
        """A copy whose only output is a tensor of this graph."""
        copy = Graph(deepcopy(self.model))
        copy.end_at(tensor)
        return copy

    def end_at(self, tensor: int) -> None:
        """Make a tensor the only output, under its own name, and drop what only served other outputs."""
        self._body.outputs = [tensor]
        signature = self.model.signatureDefs[0]
        output = signature.outputs[0]
        output.name, output.tensorIndex = self.name(tensor).encode(), tensor
        signature.outputs = [output]
        self.drop_unused()

    def downstream(self, tensors: Iterable[int]) -> list[Any]:
        """The operators that depend on any of the tensors, in the order of execution."""
        reached, found = set(tensors), []
        for operator in self._body.operators:
            if reached.intersection(operator.inputs):
                reached.update(operator.outputs)
                found.append(operator)
        return found

    def drop_unused(self) -> None:
        """Drop operators, tensors, buffers and codes that no output needs."""
        needed, kept = set(self.outputs), []
        for operator in reversed(self._body.operators):
            if needed.intersection(operator.outputs):
                needed.update(i for i in operator.inputs if i >= 0)
                kept.append(operator)
        self._body.operators = kept[::-1]
        self._renumber(sorted(needed | set(self.inputs)))

    def _renumber(self, tensors: list[int]) -> None:
        """Keep only these tensors, their buffers, and the operator codes in use."""
        new = {old: index for index, old in enumerate(tensors)} | {-1: -1}
        self._body.tensors = [self._body.tensors[old] for old in tensors]
        for operator in self._body.operators:
            operator.inputs = [new[i] for i in operator.inputs]
            operator.outputs = [new[i] for i in operator.outputs]
        self._body.inputs = [new[i] for i in self.inputs]
        self._body.outputs = [new[i] for i in self.outputs]
        signature = self.model.signatureDefs[0]
        for entry in (*signature.inputs, *signature.outputs):
            entry.tensorIndex = new[entry.tensorIndex]
        self._compact_buffers()
        self._compact_codes()

    def _compact_buffers(self) -> None:
        users = [*self._body.tensors, *(self.model.metadata or [])]
        used = sorted({0, *(user.buffer for user in users)})
        new = {old: index for index, old in enumerate(used)}
        self.model.buffers = [self.model.buffers[old] for old in used]
        for user in users:
            user.buffer = new[user.buffer]

    def _compact_codes(self) -> None:
        used = sorted({operator.opcodeIndex for operator in self._body.operators})
        new = {old: index for index, old in enumerate(used)}
        self.model.operatorCodes = [self.model.operatorCodes[old] for old in used]
        for operator in self._body.operators:
            operator.opcodeIndex = new[operator.opcodeIndex]
