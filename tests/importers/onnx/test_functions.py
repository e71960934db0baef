"""Calls of the model's and the standard's functions become the functions' nodes."""

import numpy as np
import pytest
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm import QuakeError

from .models import compare, make, node, ramp, value


def test_the_models_own_functions_are_inlined():
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    inner = helper.make_function(
        "local", "Inner", ["a"], ["b"], [node("Celu", ["a"], ["b"])], imports
    )
    outer = helper.make_function(
        "local",
        "Softmax",  # not an operator of the standard
        ["a"],
        ["c"],
        [node("Inner", ["a"], ["b"], domain="local"), node("Exp", ["b"], ["c"])],
        imports,
    )
    nodes = [node("Softmax", ["x"], ["y"], domain="local")]
    model = make(nodes, {"x": ["n", 3]}, {"y": None}, domains=["local"])
    model.functions.extend([inner, outer])
    compiled = compare(model, ramp(2, 3))
    assert not compiled.report.sites


def test_attributes_left_out_have_their_defaults_in_functions():
    model = make([node("Swish", ["x"], ["y"])], {"x": [5]}, {"y": None}, opset=24)
    (result,) = quake_tvm.compile(model, method="exact").run(ramp(5))
    np.testing.assert_allclose(result, ramp(5) / (1 + np.exp(-ramp(5))), 1e-6)


@pytest.mark.parametrize("taken", [True, False])
def test_half_precision_in_branches(taken):
    branches = {
        name: helper.make_graph([node(operator, ["x"], [operator])], name, [], [value(operator)])
        for name, operator in (("then_branch", "Elu"), ("else_branch", "HardSwish"))
    }
    model = make([node("If", ["c"], ["y"], **branches)], {}, {"y": None})
    model.graph.input.append(value("x", [5], TensorProto.FLOAT16))
    model.graph.input.append(value("c", [], TensorProto.BOOL))
    x = ramp(5).astype(np.float16)
    (q,) = quake_tvm.compile(model, method="exact").run({"x": x, "c": np.array(taken)})
    y = np.where(x > 0, x, np.expm1(ramp(5))) if taken else ramp(5) * np.clip(x / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(q.astype(float), y.astype(float), atol=2e-3)


def test_functions_of_another_opset_are_refused():
    imports = [helper.make_opsetid("", 12)]
    body = [helper.make_node("Softmax", ["a"], ["b"])]
    function = helper.make_function("local", "F", ["a"], ["b"], body, imports)
    graph = helper.make_graph(
        [helper.make_node("F", ["x"], ["y"], domain="local")],
        "g",
        [value("x", [2, 3, 4])],
        [value("y")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)
    with pytest.raises(QuakeError, match=r"function 'F' is of another opset .* Softmax differs"):
        quake_tvm.compile(model)
