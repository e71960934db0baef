"""Rewrites that ONNX Runtime cannot check: compared with the standard's formulas."""

import numpy as np
from onnx import TensorProto, helper

import quake_tvm


def run(node, **inputs):
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n, x in inputs.items()
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "graph", infos, [output])
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    return quake_tvm.compile(model, method="exact").run(inputs)[0]


def test_equal_elements_have_no_variance():
    x = np.random.default_rng(0).normal(size=(50, 1, 1, 1)).astype("float32")
    node = helper.make_node("MeanVarianceNormalization", ["x"], ["y"], axes=[1, 2, 3])
    np.testing.assert_array_equal(run(node, x=x), np.zeros_like(x))


def test_alpha_scales_the_product():
    a, b = np.array([[1.5e38, 1]], "float32"), np.array([[0.25], [1]], "float32")
    c = np.array([2], "float32")
    node = helper.make_node("Gemm", ["a", "b", "c"], ["y"], alpha=4.0, beta=0.5)
    np.testing.assert_allclose(run(node, a=a, b=b, c=c), [[1.5e38]], rtol=1e-6)


def test_beta_of_nothing_leaves_it_out():
    a, b, c = np.ones((2, 3), "float32"), np.ones((3, 2), "float32"), np.full(2, np.nan, "float32")
    for alpha in (1.0, 0.5):
        node = helper.make_node("Gemm", ["a", "b", "c"], ["y"], alpha=alpha, beta=0.0)
        np.testing.assert_array_equal(run(node, a=a, b=b, c=c), np.full((2, 2), 3 * alpha))
