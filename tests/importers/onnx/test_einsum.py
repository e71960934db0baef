"""ONNX's Einsum: half precision, and equations that are wrong."""

import re

import numpy as np
import pytest
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm import QuakeError
from tests.passes.relax.test_widen_halves import HALVES


@pytest.mark.parametrize("dtype", HALVES)
def test_sums_that_half_precision_cannot_hold(dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(HALVES[dtype]))
    node = helper.make_node("Einsum", ["a", "b"], ["y"], equation="ij,kj->ik")
    values = [helper.make_tensor_value_info(n, kind, ["m", 4096]) for n in "ab"]
    result = helper.make_tensor_value_info("y", kind, ["m", "m"])
    graph = helper.make_graph([node], "graph", values, [result])
    opsets = [helper.make_opsetid("", 17)]
    model = quake_tvm.compile(helper.make_model(graph, opset_imports=opsets, ir_version=8))
    ones = np.ones((3, 4096), HALVES[dtype])
    (found,) = model.run([ones, ones])
    assert found.dtype == ones.dtype
    assert (found == 4096).all()


@pytest.mark.parametrize(
    ("equation", "shapes", "what"),
    [
        ("ij,kl->iz", [(2, 4), (2, 4)], "the result has 'z', which no input has"),
        ("ij->ii", [(3, 3)], "the result has a letter twice"),
        ("ijk,jk->ik", [(2, 4), (4, 3)], "'ijk' for an input of 2 dimensions"),
        ("i->i", [(2, 4)], "'i' for an input of 2 dimensions"),
        ("ij,jk->ik", [(2, 4)], "2 terms for 1 inputs"),
        ("i...j->j", [(2, 5, 4)], "the result lacks the dimensions of the ellipsis"),
        ("i1->i", [(2, 4)], "a term may have letters and one ellipsis only"),
        ("i..j->j", [(2, 4)], "a term may have letters and one ellipsis only"),
        ("i.->i", [(2, 4)], "a term may have letters and one ellipsis only"),
        ("i....j->i....j", [(2, 5, 4)], "a term may have letters and one ellipsis only"),
        ("ij->i->j", [(2, 4)], "a term may have letters and one ellipsis only"),
    ],
)
def test_wrong_equations(equation, shapes, what):
    names = [f"x{k}" for k in range(len(shapes))]
    node = helper.make_node("Einsum", names, ["y"], equation=equation)
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info(n, kind, s) for n, s in zip(names, shapes, strict=True)],
        [helper.make_tensor_value_info("y", kind, None)],
    )
    opsets = [helper.make_opsetid("", 17)]
    with pytest.raises(QuakeError, match=re.escape(f"the equation {equation!r}: {what} (")):
        quake_tvm.compile(helper.make_model(graph, opset_imports=opsets, ir_version=8))
