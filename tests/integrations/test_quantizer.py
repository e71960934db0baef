"""A model with static scales from calibration: near the float model, and errors in one line."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm.errors import QuakeError

pytest.importorskip("onnxruntime")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 24)).astype(np.float32)
W, BIAS = (RNG.normal(size=s).astype(np.float32) for s in ((24, 32), (32,)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A linear layer and a sigmoid."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (8, 24))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (8, 32))],
        [numpy_helper.from_array(W, "w"), numpy_helper.from_array(BIAS, "b")],
    )
    path = tmp_path_factory.mktemp("model") / "layer.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, path)
    return path


@pytest.fixture(scope="module")
def calls():
    return [{"x": RNG.normal(size=(8, 24)).astype(np.float32)} for _ in range(4)]


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.slow
def test_the_quantized_model_compiles_and_is_near(model, calls, tmp_path):
    out = quake_tvm.quantize(model, iter(calls), tmp_path / "quantized.onnx")
    assert out == tmp_path / "quantized.onnx"
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators(out)
    (found,) = quake_tvm.compile(out).run(calls[0])
    exact = 1 / (1 + np.exp(-(calls[0]["x"].astype(np.float64) @ W + BIAS)))
    assert 0 < np.abs(found - exact).max() < 0.05


def test_chosen_operators(model, calls, tmp_path):
    out = quake_tvm.quantize(model, calls, tmp_path / "quantized.onnx", operators=["Sigmoid"])
    weights = [t for t in onnx.load(out).graph.initializer if t.data_type == TensorProto.INT8]
    assert not weights
    assert "QuantizeLinear" in operators(out)


def test_products_that_the_preparation_renames(model, calls, tmp_path):
    out = quake_tvm.quantize(model, calls, tmp_path / "quantized.onnx", operators=["MatMul"])
    assert "Gemm" in operators(out)
    weights = [t for t in onnx.load(out).graph.initializer if t.data_type == TensorProto.INT8]
    assert list(W.shape) in [list(t.dims) for t in weights]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (["matmul"], "has no operator 'matmul' to quantize; it has Add, MatMul, Sigmoid"),
        ([3], "has no operator 3 to quantize"),
        ([], "operators must be a list of names"),
        ("MatMul", "operators must be a list of names"),
    ],
)
def test_operators_that_the_model_does_not_have(model, calls, tmp_path, chosen, said):
    with pytest.raises(QuakeError, match=said):
        quake_tvm.quantize(model, calls, tmp_path / "quantized.onnx", operators=chosen)


def test_nothing_to_quantize(calls, tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Cos", ["x"], ["y"])],
        "cosine",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (8, 24))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (8, 24))],
    )
    path = tmp_path / "cosine.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    with pytest.raises(QuakeError, match="has no quantized form of these operators"):
        quake_tvm.quantize(path, calls, tmp_path / "quantized.onnx")


def test_a_quantized_model_is_not_quantized_again(model, calls, tmp_path):
    once = quake_tvm.quantize(model, calls, tmp_path / "once.onnx")
    with pytest.raises(QuakeError, match="is quantized already: compile it as it is"):
        quake_tvm.quantize(once, calls, tmp_path / "twice.onnx")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "the calibration has no inputs"),
        ([np.zeros((8, 24))], "must be a mapping of name to array"),
        ([{"z": np.zeros((8, 24))}], "call 0 of the calibration has z; the model takes x"),
        ([{"x": np.zeros((8, 24))}], "'x' has the type float64; the model takes float32"),
        ([{"x": X[:2, :3]}], r"'x' has the shape \(2, 3\); the model takes \(8, 24\)"),
        ([{"x": X * np.nan}], "'x' has NaN: give a typical input"),
        ([{"x": [[1.0], [2.0, 3.0]]}], "call 0 of the calibration: 'x' is no array"),
        ([{"x": X}, {"x": X + np.inf}], "has no finite scale: the calibration or the weights have"),
    ],
)
def test_what_the_user_got_wrong(model, tmp_path, given, said):
    with pytest.raises(QuakeError, match=said) as error:
        quake_tvm.quantize(model, given, tmp_path / "quantized.onnx")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_an_empty_call(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["x"], ["y"])],
        "any_batch",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 24))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 24))],
    )
    path = tmp_path / "any_batch.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    with pytest.raises(QuakeError, match="call 0 of the calibration: 'x' has no elements"):
        quake_tvm.quantize(path, [{"x": X[:0]}], tmp_path / "quantized.onnx")


def test_files(model, calls, tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    with pytest.raises(QuakeError, match="cannot be read as an ONNX model"):
        quake_tvm.quantize(text, calls, tmp_path / "quantized.onnx")
    with pytest.raises(QuakeError):
        quake_tvm.quantize(model, calls, model)
    with pytest.raises(QuakeError, match="model must be a path"):
        quake_tvm.quantize(onnx.load(model), calls, tmp_path / "quantized.onnx")
