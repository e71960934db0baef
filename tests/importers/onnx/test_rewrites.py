"""Rewrites compared with the standard's formulas and at several sizes; their errors."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm import QuakeError

from .models import constant, make


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


def test_weights_of_norms_broadcast_over_symbolic_extents():
    rng = np.random.default_rng(0)
    shapes = {"last": (8,), "one": (1,), "first": (3, 1, 1), "both": (3, 1, 8)}
    weights = [constant(rng.normal(size=s).astype("f4"), name) for name, s in shapes.items()]
    nodes = [
        helper.make_node(f"{kind}Normalization", ["x", name], [f"{kind}_{name}"], axis=1)
        for kind in ("Layer", "RMS")
        for name in shapes
    ]
    outputs = dict.fromkeys(n.output[0] for n in nodes)
    model = make(nodes, {"x": ["b", 3, "s", 8]}, outputs, weights, opset=23)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    compiled = quake_tvm.compile(model, method="exact")
    for b, s in ((2, 4), (1, 1)):
        x = rng.normal(size=(b, 3, s, 8)).astype("f4")
        for q, y in zip(compiled.run(x), session.run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(q, y, 1e-5, 1e-5)


@pytest.mark.parametrize(("name", "said"), [("fused", "node 'fused'"), ("", "the node of 'y'")])
def test_errors_name_the_node(name, said):
    options = {"domain": "com.microsoft", "activation": "Gelu", "name": name}
    conv = helper.make_node("FusedConv", ["x", "w"], ["y"], **options)
    w = constant(np.ones((2, 2, 1, 1), "f4"), "w")
    model = make([conv], {"x": [1, 2, 3, 3]}, {"y": None}, [w], domains=["com.microsoft"])
    with pytest.raises(QuakeError, match=rf"'Gelu' is not supported: .* \({said}\)$"):
        quake_tvm.compile(model)
