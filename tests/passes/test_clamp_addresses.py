"""Kernels of a user's module that compute addresses from data."""

import numpy as np
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

import quake_tvm
from quake_tvm.passes.clamp_addresses import ClampAddresses


@I.ir_module
class Own:
    """An address from data, one in a loop whose length is data, and one that is neither."""

    @T.prim_func(private=True, s_tir=True)
    def own(
        x: T.Buffer((10,), "float32"), n: T.Buffer((2,), "int64"), y: T.Buffer((10,), "float32")
    ):
        for i in range(10):
            with T.sblock("plain"):
                v = T.axis.spatial(10, i)
                y[v] = x[n[1]] + x[9 - v]
        for j in range(n[0]):
            with T.sblock("counted"):
                w = T.axis.spatial(n[0], j)
                y[w] = x[w * 2]

    @R.function
    def main(x: R.Tensor((10,), "float32"), n: R.Tensor((2,), "int64")):
        with R.dataflow():
            y = R.call_tir(Own.own, (x, n), R.Tensor((10,), "float32"))
            R.output(y)
        return y


X = np.arange(10, dtype=np.float32)


def expected(count, place):
    y = X[min(max(place, 0), 9)] + X[::-1]
    for j in range(min(count, 10**5)):
        y[min(j, 9)] = X[min(2 * j, 9)]
    return y


def test_addresses_stay_in_their_buffers():
    model = quake_tvm.compile(Own)
    for count, place in ((0, 3), (3, 0), (5, 9), (10**5, 10**9), (0, -(10**9))):
        (found,) = model.run([X, np.int64([count, place])])
        np.testing.assert_array_equal(found, expected(count, place))


def test_addresses_that_are_no_data_stay_as_they_are():
    text = ClampAddresses()(Own).script()
    assert "x[T.int64(9) - v]" in text or "x[9 - v]" in text
