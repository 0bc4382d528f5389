"""TFLite files as graphs: what is read, cut and written again still runs, and what is no model is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tflite_models import SMALL, student_model

from npuface_export.converters.tflite_graph import Graph
from npuface_runtime.errors import UserError

MODEL = "relative-threshold"


def run(path: Path, picture: NDArray[np.float32], tensor: str) -> NDArray[np.float32]:
    """The value of a tensor anywhere in a model."""
    interpreter = Interpreter(
        str(path),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    index = next(d["index"] for d in interpreter.get_tensor_details() if d["name"] == tensor)
    return np.asarray(interpreter.get_tensor(index), np.float32)


@pytest.fixture
def path() -> Path:
    return student_model(MODEL).files["model"]


def test_written_again_it_is_the_same_graph(path: Path, tmp_path: Path) -> None:
    graph = Graph.read(path)
    graph.write(tmp_path / "again.tflite")
    again = Graph.read(tmp_path / "again.tflite")
    assert again.operator_counts() == graph.operator_counts()
    assert [again.tensor_info(i) for i in again.outputs] == [graph.tensor_info(i) for i in graph.outputs]


@pytest.mark.parametrize("at", [1, 5, 12, -4])
def test_cut_anywhere_it_gives_the_value_that_stood_there(path: Path, tmp_path: Path, at: int) -> None:
    whole = Graph.read(path)
    tensor = int(whole.operators[at].outputs[0])
    name = whole.name(tensor)
    part = whole.copy_ending_at(tensor)
    part.write(tmp_path / "part.tflite")
    picture = np.random.default_rng(0).uniform(-1, 1, (1, SMALL.input_size, SMALL.input_size, 3)).astype(np.float32)
    np.testing.assert_array_equal(run(tmp_path / "part.tflite", picture, name), run(path, picture, name))
    assert [part.name(i) for i in part.outputs] == [name]


def test_a_cut_drops_what_it_no_longer_needs_and_leaves_the_original(path: Path, tmp_path: Path) -> None:
    whole = Graph.read(path)
    before = whole.operator_counts()
    part = whole.copy_ending_at(int(whole.operators[0].outputs[0]))
    part.write(tmp_path / "part.tflite")
    assert len(part.operators) == 1
    assert len(part.model.operatorCodes) == 1
    read_by = {int(i) for op in part.operators for i in (*op.inputs, *op.outputs)}
    assert read_by == set(range(len(part.tensors)))
    assert (tmp_path / "part.tflite").stat().st_size < path.stat().st_size / 10
    assert whole.operator_counts() == before


def test_downstream_is_what_depends_on_a_tensor(path: Path) -> None:
    graph = Graph.read(path)
    assert len(graph.downstream(graph.inputs)) == len(graph.operators)
    assert graph.downstream(graph.outputs) == []


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        Graph.read(tmp_path / "absent.tflite")


def test_other_files_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.tflite"
    other.write_bytes(b"\x89PNG\r\n\x1a\n" * 100)
    with pytest.raises(UserError, match="it is not a TFLite flatbuffer"):
        Graph.read(other)


@settings(deadline=None, max_examples=25)
@given(share=st.floats(0, 0.99))
def test_a_truncated_file_is_refused(share: float) -> None:
    content = student_model(MODEL).files["model"].read_bytes()
    with pytest.raises(UserError, match=r"its flatbuffer is damaged|not a TFLite flatbuffer|exactly one subgraph"):
        Graph.from_bytes(content[: int(share * len(content))], "cut.tflite")
