"""Loop and Scan of known length are unrolled, others refused."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm import QuakeError

from .models import value

node = helper.make_node
BOOL, INT64 = TensorProto.BOOL, TensorProto.INT64


def model_of(nodes, feeds, outputs, constants):
    inputs = [value(n, x.shape, helper.np_dtype_to_tensor_dtype(x.dtype)) for n, x in feeds.items()]
    initializers = [numpy_helper.from_array(np.array(v), n) for n, v in constants.items()]
    outputs = [value(name, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def compare(nodes, feeds, outputs, **constants):
    model = model_of(nodes, feeds, outputs, constants)
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    for q, y in zip(quake_tvm.compile(model, method="exact").run(feeds), wanted, strict=True):
        assert q.shape == y.shape
        np.testing.assert_allclose(q, y, rtol=1e-5)


def loop_body(condition="Identity"):
    """The state times a weight of the graph around, the number of the iteration, and a row."""
    nodes = [
        node(condition, ["go"], ["goes"]),
        node("Cast", ["k"], ["number"], to=TensorProto.FLOAT),
        node("Mul", ["state", "w"], ["product"]),
        node("Add", ["product", "number"], ["next"]),
        node("Tanh", ["next"], ["row"]),
    ]
    return helper.make_graph(
        nodes,
        "body",
        [value("k", [], INT64), value("go", [], BOOL), value("state", [2])],
        [value("goes", [], BOOL), value("next", [2]), value("row", [2])],
    )


def scan_body():
    nodes = [node("Add", ["s", "a"], ["t"]), node("Mul", ["t", "b"], ["r"])]
    inputs = [value("s", [2]), value("a", [2]), value("b", [2])]
    return helper.make_graph(nodes, "body", inputs, [value("t", [2]), value("r", [2])])


X = np.float32([1, -2])


@pytest.mark.parametrize("condition", ["", "true"])
@pytest.mark.parametrize("computed", ["Identity", "Not"])
def test_loops_of_known_length(condition, computed):
    loop = node("Loop", ["n", condition, "x"], ["y", "rows"], body=loop_body(computed))
    compare([loop], {"x": X}, ["y", "rows"], n=3, true=True, w=np.float32([0.5, 2]))


def test_scans():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 2)).astype("f4"), rng.normal(size=(2, 4)).astype("f4")
    options = {
        "scan_input_axes": [0, 1], "scan_input_directions": [1, 0], "scan_output_axes": [1],
        "scan_output_directions": [1],
    }  # fmt: skip
    nodes = [
        node("Scan", ["x", "a", "b"], ["y", "rows"], body=scan_body(), num_scan_inputs=2, **options)
    ]
    compare(nodes, {"x": X, "a": a, "b": b}, ["y", "rows"])


def test_kernels_in_a_scan_are_scheduled_like_those_outside():
    nodes = [
        node("MatMul", ["state", "w"], ["product"]),
        node("Tanh", ["product"], ["next"]),
        node("Softmax", ["next"], ["row"]),
    ]
    results = [value(name, [8, 16]) for name in ("next", "row")]
    given = [value("state", [8, 16]), value("step", [1])]
    body = helper.make_graph(nodes, "body", given, results)
    scan = node("Scan", ["x", "steps"], ["y", "rows"], body=body, num_scan_inputs=1)
    feeds = {"x": np.zeros((8, 16), np.float32), "steps": np.zeros((3, 1), np.float32)}
    model = model_of([scan], feeds, ["y", "rows"], {"w": np.eye(16, dtype=np.float32)})
    report = quake_tvm.compile(model).report
    assert {"matmul", "rows"} <= set(report.kernels.values())
    assert not {"fallback", "none"} & set(report.kernels.values())


def test_loops_of_unknown_length_are_refused():
    loop = node("Loop", ["n", "", "x"], ["y", "rows"], body=loop_body())
    feeds = {"x": X, "n": np.array(2)}
    model = model_of([loop], feeds, ["y"], {"w": np.float32([0.5, 2])})
    with pytest.raises(QuakeError, match=r"its limit 'n' follows, .*node 'y'"):
        quake_tvm.compile(model)


def counting_body(compared):
    """Doubles x, and counts in the state up to a number of the graph around."""
    nodes = [
        node("Add", ["count", "one"], ["counted"]),
        node("Cast", ["counted"], ["as_float"], to=TensorProto.FLOAT),
        node("Less", [compared, "end"], ["below"]),
        node("And", ["below", "go"], ["goes"]),
        node("Add", ["x", "x"], ["twice"]),
        node("Identity", ["twice"], ["row"]),
    ]
    return helper.make_graph(
        nodes,
        "body",
        [value("k", [], INT64), value("go", [], BOOL), value("count", [], INT64), value("x", [2])],
        [
            value("goes", [], BOOL),
            value("counted", [], INT64),
            value("twice", [2]),
            value("row", [2]),
        ],
        [numpy_helper.from_array(np.array(1), "one")],
    )


@pytest.mark.parametrize("limit", ["", "most", "two"])
def test_loops_whose_condition_counts(limit):
    body = counting_body("as_float")
    loop = node("Loop", [limit, "true", "start", "x0"], ["n", "y", "rows"], body=body)
    given = {"true": True, "start": -1, "end": np.float32(3), "most": 10**9, "two": 2}
    compare([loop], {"x0": X}, ["y", "rows"], **given)


def test_loops_whose_condition_needs_data_are_refused():
    body = counting_body("largest")
    body.node.insert(0, node("ReduceMax", ["x"], ["largest"], keepdims=0))
    loop = node("Loop", ["", "true", "start", "x0"], ["n", "y", "rows"], body=body)
    model = model_of([loop], {"x0": X}, ["y"], {"true": True, "start": 0, "end": np.float32(3)})
    with pytest.raises(QuakeError, match="must not follow from data; make its body"):
        quake_tvm.compile(model)


def test_loops_whose_condition_never_fails_are_refused():
    loop = node("Loop", ["", "", "start", "x0"], ["n", "y", "rows"], body=counting_body("as_float"))
    model = model_of([loop], {"x0": X}, ["y"], {"start": 0, "end": np.float32(np.inf)})
    with pytest.raises(QuakeError, match="has too many nodes"):
        quake_tvm.compile(model)


def test_loops_without_iterations():
    loop = node("Loop", ["n", "", "x"], ["y"], body=loop_body())
    loop.output.append("")
    constants = {"n": 0, "w": np.float32([0.5, 2])}
    (y,) = quake_tvm.compile(model_of([loop], {"x": X}, ["y"], constants)).run(X)
    np.testing.assert_array_equal(y, X)
    loop.output[1] = "rows"
    model = model_of([loop], {"x": X}, ["y"], constants)
    with pytest.raises(QuakeError, match=r"of no iterations gives .*node 'y'"):
        quake_tvm.compile(model)


def test_loops_that_would_be_too_large_are_refused():
    loop = node("Loop", ["n", "", "x"], ["y", "rows"], body=loop_body())
    model = model_of([loop], {"x": X}, ["y"], {"n": 10**6, "w": np.float32([0.5, 2])})
    with pytest.raises(QuakeError, match="Loop of 1000000 iterations has too many nodes"):
        quake_tvm.compile(model)


def test_scans_of_opset_8_are_refused():
    scan = node("Scan", ["", "x", "a", "b"], ["y", "r"], body=scan_body(), num_scan_inputs=2)
    feeds = {"x": X[None], "a": np.ones((1, 3, 2), "f4"), "b": np.ones((1, 3, 2), "f4")}
    model = model_of([scan], feeds, ["y"], {})
    model.opset_import[0].version = 8
    with pytest.raises(QuakeError, match="Scan of opset 8"):
        quake_tvm.compile(onnx.ModelProto.FromString(model.SerializeToString()))
