"""The judge accepts correct outputs, and finds planted faults."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.fuzz.compare import difference
from tests.fuzz.generate import generate
from tests.fuzz.graph import as_model, session
from tests.fuzz.judge import Judge, rung_error

F = TensorProto.FLOAT


def judged(nodes, x, runs=8, rung="exact", kind=F, **constants):
    """The judge's outputs of a graph from ``x`` to ``y``."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", F, x.shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    seen = Judge(as_model(graph, 17)).outputs({"x": x}, rung, runs)
    return [outputs[0] for outputs in seen]


def node(operator, *inputs, **attributes):
    return helper.make_node(operator, inputs, ["y"], **attributes)


X = np.array([-2.5, -1.0, 0.25, 3.0], np.float32)


def test_onnxruntime_agrees_with_itself_on_random_graphs():
    for seed in range(24):
        case = generate(seed)
        seen = Judge(case.model).outputs(case.feeds[0], "exact", 12)
        plain = session(case.model).run(None, case.feeds[0])
        names = {n.op_type for n in case.model.graph.node}
        if names & {"Sigmoid", "ReduceMax", "ReduceMin", "MaxPool", "GlobalMaxPool", "TopK"}:
            continue  # these are corrected
        for k, output in enumerate(plain):
            assert not difference(output, [s[k] for s in seen])


@pytest.mark.parametrize("off", [1e-4, -1e-3, np.nan, np.inf])
def test_one_wrong_element_is_found(off):
    seen = judged([node("Tanh", "x")], X)
    got = seen[0].copy()
    assert not difference(got, seen)
    got[1] += off
    assert "1 of 4 elements, at (1,)" in difference(got, seen)


def test_shape_and_type_are_compared():
    seen = judged([node("Tanh", "x")], X)
    assert "shape" in difference(seen[0][:3], seen)
    assert "type float64" in difference(seen[0].astype(np.float64), seen)


def test_nothing_may_be_off_before_anything_rounds():
    seen = judged([node("Floor", "x")], X)
    assert all(np.array_equal(s, seen[0]) for s in seen)


@pytest.mark.parametrize("rung", ["quake1", "quake3", "quake5"])
def test_a_rung_may_be_off_by_its_bound_and_not_by_ten(rung):
    seen = judged([node("Exp", "x")], X, runs=60, rung=rung)
    size = rung_error(rung)
    assert not difference(seen[0] * np.float32(1 + size), seen)
    assert difference(seen[0] * np.float32(1 + 10 * size + 1e-4), seen)


def test_a_cancellation_is_known():
    nodes = [helper.make_node("Add", ["x", "c"], ["s"]), node("Sub", "s", "c")]
    seen = judged(nodes, X, c=np.float32(1e6))
    assert not difference(X, seen)  # although ONNX Runtime gives multiples of 1/16
    assert difference(X + np.float32(30), seen)


def test_a_step_at_its_edge_is_not_compared():
    nodes = [helper.make_node("Mul", ["x", "c"], ["s"]), node("Floor", "s")]
    x = np.array([1.0, 1.5], np.float32)
    seen = judged(nodes, x, runs=60, c=np.float32(1))
    assert not difference(np.array([0, 1], np.float32), seen)
    assert "at (1,)" in difference(np.array([1, 2], np.float32), seen)


@pytest.mark.parametrize(
    ("operator", "options"),
    [("ReduceMax", {"keepdims": 0}), ("ReduceMin", {"keepdims": 0})],
)
def test_nan_wins_where_onnxruntime_passes_over_it(operator, options):
    x = np.array([[1, np.nan, 2], [-np.inf, -np.inf, 1]], np.float32)
    seen = judged([node(operator, "x", axes=[1], **options)], x)
    assert np.isnan([s[0] for s in seen]).all()
    assert np.isfinite(seen[0][1]) == (operator == "ReduceMax")


def test_maximum_of_infinities_is_minus_infinity():
    x = np.full((1, 1, 4), -np.inf, np.float32)
    for pool in (node("MaxPool", "x", kernel_shape=[2]), node("GlobalMaxPool", "x")):
        assert np.isneginf(judged([pool], x)[0]).all()


def test_sigmoid_has_its_tails():
    x = np.array([-80.0, -20.0, 0.0, 20.0, np.inf, -np.inf, np.nan], np.float32)
    want = np.array([1.8048514e-35, 2.0611537e-09, 0.5, 1, 1, 0, np.nan])
    np.testing.assert_allclose(judged([node("Sigmoid", "x")], x)[0], want, rtol=1e-6)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_a_product_that_overflows_within_a_sum_may_be_no_infinity(order):
    x = np.array([[-np.inf, 3e38, 1]], np.float32)[:, order]
    w = np.array([[1], [1.2], [1]], np.float32)[order]
    seen = judged([node("MatMul", "x", "w")], x, runs=60, w=w)
    for value in (-np.inf, np.nan):
        assert not difference(np.array([[value]], np.float32), seen)


def test_a_sum_with_an_infinity_is_compared():
    x = np.array([[-np.inf, 3e38, 1]], np.float32)
    seen = judged([node("MatMul", "x", "w")], x, runs=60, w=np.ones((3, 1), np.float32))
    assert difference(np.array([[np.nan]], np.float32), seen)
    assert not difference(np.array([[-np.inf]], np.float32), seen)


@pytest.mark.parametrize("opset", [17, 22])
def test_a_product_of_vectors_is_a_scalar(opset):
    graph = helper.make_graph(
        [node("MatMul", "x", "x")],
        "graph",
        [helper.make_tensor_value_info("x", F, X.shape)],
        [helper.make_tensor_value_info("y", F, None)],
    )
    seen = Judge(as_model(graph, opset)).outputs({"x": X}, "exact", 4)
    assert all(outputs[0].shape == () for outputs in seen)
