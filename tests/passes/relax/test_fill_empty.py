"""Tensors without elements, and products that sum over no elements."""

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.script import relax as R

import quake_tvm
from quake_tvm.passes.relax.fill_empty import FillEmpty
from tests import helpers


@tvm.script.ir_module
class Nothing:
    @R.function
    def main(x: R.Tensor((2, 3, 0), "float32"), y: R.Tensor((2, 0, 4), "float32")):
        with R.dataflow():
            product = R.matmul(x, y)
            bent = R.sigmoid(R.exp(x))
            one = R.add(product, R.const(1, "float32"))
            R.output(one, bent)
        return one, bent, R.const(np.zeros((0, 5), np.float32))


@tvm.script.ir_module
class Something:
    @R.function
    def main(x: R.Tensor(("n", 3), "float32")):
        with R.dataflow():
            y = R.exp(x)
            R.output(y)
        return y


def test_what_is_made_of_nothing():
    model = quake_tvm.compile(Nothing)
    one, bent, constant = model.run(np.zeros((2, 3, 0), "f4"), np.zeros((2, 0, 4), "f4"))
    np.testing.assert_array_equal(one, np.ones((2, 3, 4)))
    assert bent.shape == (2, 3, 0)
    assert constant.shape == (0, 5)


@pytest.mark.parametrize("shape", [(0, 2), (2, 0, 1)])
def test_a_scatter_without_an_index(shape):
    index = relax.const(np.zeros(shape, np.int64))
    updates = relax.const(np.zeros((*shape[:-1], *(3, 4)[shape[-1] :]), np.float32))
    mod = helpers.module(lambda x: relax.op.scatter_nd(x, index, updates, "add"), (3, 4))
    x = np.ones((3, 4), np.float32)
    (y,) = quake_tvm.compile(mod).run(x)
    np.testing.assert_array_equal(y, x)
    assert not np.shares_memory(x, y)


def test_other_modules_stay():
    assert FillEmpty()(Something).same_as(Something)


@pytest.mark.parametrize("mean", [relax.op.mean, relax.op.variance, relax.op.std])
@pytest.mark.parametrize("keepdims", [False, True])
def test_means_of_nothing_are_no_numbers(mean, keepdims):
    mod = helpers.module(lambda x: mean(x, [1], keepdims), (3, 0, 2))
    (y,) = quake_tvm.compile(mod).run(np.zeros((3, 0, 2), np.float32))
    np.testing.assert_array_equal(y, np.full((3, 1, 2) if keepdims else (3, 2), np.nan))
