"""The engine contract: the same network, whichever engine runs it, gives the same numbers and the same errors."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_models import HEATMAPS, SIZE, SUMS, onnx_model, reference

from npuface_runtime.engines import ENGINES, open_session
from npuface_runtime.errors import EngineError, UserError

Models = dict[str, dict[str, Path]]
PICTURE = np.random.default_rng(0).normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
each_engine = pytest.mark.parametrize("engine", ENGINES)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return str(caught.value)


@each_engine
@pytest.mark.parametrize("threads", [1, 2])
def test_every_engine_computes_the_network(models: Models, engine: str, threads: int) -> None:
    with open_session(engine, models[engine], threads) as session:
        assert (session.input.shape, session.input.dtype) == (PICTURE.shape, "float32")
        maps, sums = session.run(PICTURE)
        assert f"threads: {threads}" in session.description
    for got, expected in zip((maps, sums), reference(PICTURE), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=1e-5)


@each_engine
def test_outputs_come_in_the_wanted_order(models: Models, engine: str) -> None:
    with open_session(engine, models[engine]) as session:
        names = [spec.name for spec in session.outputs]
        in_model_order = session.run(PICTURE)
    with open_session(engine, models[engine], outputs=names[::-1]) as session:
        assert [spec.name for spec in session.outputs] == names[::-1]
        for got, expected in zip(session.run(PICTURE), in_model_order[::-1], strict=True):
            np.testing.assert_array_equal(got, expected)
    with open_session(engine, models[engine], outputs=names[1:]) as session:
        assert len(session.run(PICTURE)) == 1


@each_engine
def test_outputs_belong_to_the_caller(models: Models, engine: str) -> None:
    with open_session(engine, models[engine]) as session:
        first = session.run(PICTURE)
        kept = [array.copy() for array in first]
        session.run(-PICTURE)
        for array, copy in zip(first, kept, strict=True):
            np.testing.assert_array_equal(array, copy)


@each_engine
def test_an_input_of_any_strides_will_do(models: Models, engine: str) -> None:
    with open_session(engine, models[engine]) as session:
        expected = session.run(PICTURE)
        for got, same in zip(session.run(np.asfortranarray(PICTURE)), expected, strict=True):
            np.testing.assert_array_equal(got, same)


@each_engine
@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (PICTURE[:, :, :-1], "its shape is (1, 3, 63, 64), the model takes (1, 3, 64, 64)"),
        (PICTURE[0], "its shape is (3, 64, 64)"),
        (PICTURE.astype(np.float64), "it is float64, the model takes float32"),
        (PICTURE.astype(np.int8), "it is int8, the model takes float32"),
        (np.where(PICTURE > 2, np.nan, PICTURE), "values that are not finite"),
        (np.where(PICTURE > 2, np.inf, PICTURE).astype(np.float32), "values that are not finite"),
    ],
    ids=["size", "rank", "float64", "int8", "nan", "inf"],
)
def test_an_input_that_does_not_fit_is_refused(models: Models, engine: str, picture: np.ndarray, reason: str) -> None:
    with open_session(engine, models[engine]) as session:
        assert reason in refusal(lambda: session.run(picture))
        assert len(session.run(PICTURE)) == 2, "the session still works"


@each_engine
def test_a_closed_session_says_so(models: Models, engine: str) -> None:
    session = open_session(engine, models[engine])
    session.close()
    session.close()
    assert "its session is closed" in refusal(lambda: session.run(PICTURE))


@each_engine
@pytest.mark.parametrize("content", [b"", b"not a model, but long enough to be looked at" * 20])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, engine: str, content: bytes) -> None:
    file = tmp_path / {"litert": "m.tflite", "onnxruntime": "m.onnx", "openvino": "m.xml"}[engine]
    file.write_bytes(content)
    assert f"cannot open {file}" in refusal(lambda: open_session(engine, {"model": file}))


@each_engine
def test_a_truncated_model_is_refused(models: Models, tmp_path: Path, engine: str) -> None:
    whole = models[engine]["model"]
    (tmp_path / whole.name).write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    files = models[engine] | {"model": tmp_path / whole.name}
    assert "cannot open" in refusal(lambda: open_session(engine, files))


def test_a_name_that_is_no_text_is_refused(models: Models, tmp_path: Path) -> None:
    """ONNX Runtime's message repeats the name, and Python cannot read it."""
    path = tmp_path / "model.onnx"
    whole = models["onnxruntime"]["model"].read_bytes()
    for number in range(len(whole)):
        path.write_bytes(whole[:number] + bytes([whole[number] ^ 0x80]) + whole[number + 1 :])
        with contextlib.suppress(UserError):
            open_session("onnxruntime", {"model": path}, 1).close()


@each_engine
def test_a_missing_file_is_refused(models: Models, tmp_path: Path, engine: str) -> None:
    assert "there is no model file" in refusal(lambda: open_session(engine, {"model": tmp_path / "absent"}))
    assert "there is no model file" in refusal(lambda: open_session(engine, {}))
    files = models[engine] | {"weights": tmp_path / "absent.bin"}
    assert "there is no weights file" in refusal(lambda: open_session(engine, files))


@each_engine
def test_an_unknown_output_is_refused_with_the_known_ones(models: Models, engine: str) -> None:
    reason = refusal(lambda: open_session(engine, models[engine], outputs=["landmarks"]))
    assert "has no output 'landmarks'" in reason
    with open_session(engine, models[engine]) as session:
        assert all(spec.name in reason for spec in session.outputs)


def test_an_unknown_engine_is_refused_with_the_near_ones(models: Models) -> None:
    reason = refusal(lambda: open_session("onnxruntme", models["onnxruntime"]))
    assert "unknown engine 'onnxruntme'" in reason
    assert "Use onnxruntime" in reason
    assert "Use litert or onnxruntime or openvino" in refusal(lambda: open_session("zzz", models["onnxruntime"]))


@pytest.mark.parametrize("threads", [0, -1, True, 1.5])
def test_a_wrong_number_of_threads_is_refused(models: Models, threads: int) -> None:
    assert f"cannot use {threads!r} threads" in refusal(
        lambda: open_session("onnxruntime", models["onnxruntime"], threads)
    )


def test_a_model_with_two_inputs_is_refused(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"])],
        "sum",
        inputs,
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "sum.onnx"
    )
    for engine in ("onnxruntime", "openvino"):
        assert "it has 2 inputs" in refusal(
            lambda engine=engine: open_session(engine, {"model": tmp_path / "sum.onnx"})
        )


def test_a_free_dimension_takes_any_size_on_onnxruntime(tmp_path: Path) -> None:
    model = onnx_model(tmp_path / "free.onnx", ("batch", 3, SIZE, SIZE))
    with open_session("onnxruntime", {"model": model}, outputs=[SUMS]) as session:
        assert session.input.shape == (-1, 3, SIZE, SIZE)
        (sums,) = session.run(np.concatenate([PICTURE, PICTURE]))
        assert sums.shape == (2, 2, 1, 1)


def test_a_free_dimension_is_refused_on_openvino(tmp_path: Path) -> None:
    model = onnx_model(tmp_path / "free.onnx", ("batch", 3, SIZE, SIZE))
    assert "its input has a free dimension, (-1, 3, 64, 64)" in refusal(
        lambda: open_session("openvino", {"model": model})
    )


def test_a_failure_inside_the_engine_is_in_its_words(tmp_path: Path) -> None:
    """A reshape that fits or does not, which only shows when the model runs."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        "fails",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
        [onnx.numpy_helper.from_array(np.array([2, 3], np.int64), "shape")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "fails.onnx"
    )
    with open_session("onnxruntime", {"model": tmp_path / "fails.onnx"}) as session:
        assert session.run(np.ones((1, 6), np.float32))[0].shape == (2, 3)
        with pytest.raises(EngineError, match="failed") as caught:
            session.run(np.ones((1, 7), np.float32))
        assert session.description in caught.value.what
        assert "node" in caught.value.why, "it names the operator"
        assert session.run(np.ones((1, 6), np.float32))[0].shape == (2, 3), "the session still works"


def test_float_models_run_in_float32_on_openvino(models: Models) -> None:
    with open_session("openvino", models["openvino"]) as session:
        assert "CPU in float32" in session.description


def test_litert_says_which_interpreter_runs(models: Models) -> None:
    with open_session("litert", models["litert"]) as session:
        assert "(ai-edge-litert)" in session.description


@pytest.mark.parametrize("engine", ENGINES)
def test_a_missing_engine_names_its_extra(models: Models, engine: str) -> None:
    """In a Python of its own, where the engine's packages cannot be imported."""
    package = {"litert": "ai_edge_litert tflite_runtime"}.get(engine, engine)
    code = (
        "import sys\n"
        f"for name in {package.split()!r}: sys.modules[name] = None\n"
        "from npuface_runtime import UserError, open_session\n"
        f"try: open_session({engine!r}, {{'model': {str(models[engine]['model'])!r}}})\n"
        "except UserError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "it is not installed" in done.stdout
    assert f"Pip install npuface[{engine}]" in done.stdout


def test_importing_the_runtime_imports_no_engine() -> None:
    code = (
        "import sys, npuface_runtime\n"
        "heavy = {'cv2', 'onnxruntime', 'openvino', 'ai_edge_litert', 'torch', 'onnx'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_of_the_onnx_outputs_are_the_models(models: Models) -> None:
    with open_session("onnxruntime", models["onnxruntime"]) as session:
        assert [spec.name for spec in session.outputs] == [HEATMAPS, SUMS]
