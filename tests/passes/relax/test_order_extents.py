"""Calls come behind the definitions of the extents that they use."""

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

import quake_tvm
from quake_tvm.passes.relax.order_extents import OrderExtents


@I.ir_module(s_tir=True, check_well_formed=False)
class Early:
    @R.function
    def main(x: R.Tensor((4,), "float32"), s: R.Shape(ndim=1)):
        n = T.int64()
        with R.dataflow():
            a = R.exp(x)
            y = R.broadcast_to(a, R.shape([n, 4]))
            b = R.negative(x)
            size: R.Shape([n]) = R.match_cast(s, R.Shape([n]))  # noqa: F841
            z = R.add(y, b)
            R.output(z)
        return z


@I.ir_module(s_tir=True)
class Ordered:
    @R.function
    def main(x: R.Tensor((4,), "float32"), s: R.Shape(ndim=1)):
        n = T.int64()
        with R.dataflow():
            a = R.exp(x)
            b = R.negative(x)
            size: R.Shape([n]) = R.match_cast(s, R.Shape([n]))  # noqa: F841
            y = R.broadcast_to(a, R.shape([n, 4]))
            z = R.add(y, b)
            R.output(z)
        return z


def test_expected():
    tvm.ir.assert_structural_equal(OrderExtents()(Early), Ordered, map_free_vars=True)


def test_ordered_blocks_are_unchanged():
    assert OrderExtents()(Ordered)["main"].same_as(Ordered["main"])


@pytest.mark.parametrize("name", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_a_size_that_data_decide(name):
    n = helper.make_tensor_value_info("n", TensorProto.INT32, [])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["k"])
    graph = helper.make_graph([helper.make_node(name, ["n"], ["y"])], name, [n], [y])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    compiled, expected = quake_tvm.compile(model), onnx.reference.ReferenceEvaluator(model)
    for size in (1, 10, 33):
        feed = {"n": np.int32(size)}
        np.testing.assert_allclose(compiled(feed)[0], expected.run(None, feed)[0], atol=1e-6)
