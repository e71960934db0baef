"""Kernels of several nests run on tensors of no elements, whose sizes they would divide by."""

import numpy as np
import pytest
from tvm import relax, tirx

import quake_tvm
from tests.helpers import module

op, nn = relax.op, relax.op.nn


@pytest.fixture(scope="module")
def model():
    sizes = [tirx.Var(name, "int64") for name in "abcd"]

    def pooled(x):
        deep = op.expand_dims(x, [1])
        means = nn.avg_pool3d(deep, (3, 1, 1), (1, 1, 1), (1, 0, 0, 1, 0, 0))
        return op.squeeze(means, [1]), op.variance(x, [1, 3]), nn.softmax(op.exp(x), 1)

    return quake_tvm.compile(module(pooled, tuple(sizes)), method="exact")


@pytest.mark.parametrize("empty", [None, 0, 1, 2, 3, (1, 2), (0, 3), (0, 1, 2, 3)])
def test_no_elements(model, empty):
    shape = [2, 3, 4, 5]
    for axis in () if empty is None else np.atleast_1d(empty):
        shape[axis] = 0
    means, variances, shares = model.run({"x0": np.ones(shape, np.float32)})
    assert (list(means.shape), list(shares.shape)) == (shape, shape)
    assert list(variances.shape) == [shape[0], shape[2]]
    assert np.all((means > 0.6) & (means <= 1))
