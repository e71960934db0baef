"""ONNX's Einsum in half precision."""

import numpy as np
import pytest
from onnx import helper

import quake_tvm
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
