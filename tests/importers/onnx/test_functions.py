"""Calls of the model's and the standard's functions become the functions' nodes."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

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


@pytest.mark.parametrize("opset", [14, 22])
@pytest.mark.parametrize("operator", ["Celu", "Elu", "Selu", "HardSwish"])
def test_activations_of_every_type(operator, opset):
    """Function bodies of newer opsets do not hold in older ones."""
    for dtype in (np.float16, np.float64):
        model = make([node(operator, ["x"], ["y"])], {"x": [5]}, {"y": None}, opset=opset)
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        model.graph.input[0].type.tensor_type.elem_type = kind
        x = ramp(5).astype(dtype)
        (q,) = quake_tvm.compile(model, method="exact").run(x)
        wide = make([node(operator, ["x"], ["y"])], {"x": [5]}, {"y": None}, opset=opset)
        (y,) = ReferenceEvaluator(wide).run(None, {"x": ramp(5)})
        assert q.dtype == dtype
        np.testing.assert_allclose(q, y, rtol=2e-3 if dtype == np.float16 else 1e-6)


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
