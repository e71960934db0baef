"""Relay: a wrong index takes the nearest element, and no kernel accesses memory out of range."""

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.contrib import graph_executor

import quake_tvm

X = np.arange(40, dtype=np.float32).reshape(10, 4)
SHAPES = ((3,), (3, 4), (1, 3))


@pytest.fixture(scope="module")
def machine():
    x, u = relay.var("x", shape=(10, 4)), relay.var("u", shape=(3, 4))
    i, e, n = (relay.var(v, shape=s, dtype="int64") for v, s in zip("ien", SHAPES, strict=True))
    values = [
        relay.take(x, i, axis=0, mode="fast"),
        relay.gather(x, 0, e),
        relay.gather_nd(x, n),
        relay.adv_index([x, i]),
        relay.scatter_elements(x, e, u, 0, "update"),
        relay.scatter_nd(x, n, u, "update"),
    ]
    mod = tvm.IRModule.from_expr(relay.Function([x, u, i, e, n], relay.Tuple(values)))
    with quake_tvm.PassContext(opt_level=3, method="quake2"):
        lib = relay.build(mod, quake_tvm.target("native"))
    return graph_executor.GraphModule(lib["default"](tvm.cpu()))


@pytest.mark.parametrize("index", [0, 9, 10, 100_000, 10**12])
def test_indices_beyond_the_end(machine, index):
    i, e, n = (np.full(shape, index) for shape in SHAPES)
    u, nearest = np.full((3, 4), -7, np.float32), min(index, 9)
    machine.run(x=X, u=u, i=i, e=e, n=n)
    *gathered, first, second = (machine.get_output(k).numpy() for k in range(6))
    for found in gathered:
        np.testing.assert_array_equal(found, X[[nearest] * 3])
    written = X.copy()
    written[nearest] = -7
    np.testing.assert_array_equal(first, written)
    np.testing.assert_array_equal(second, written)


def test_index_types_that_cannot_hold_the_extent():
    x = relay.var("x", shape=(300,))
    u, e = relay.var("u", shape=(3,), dtype="uint8"), relay.var("e", shape=(3,), dtype="int8")
    values = [relay.take(x, i, mode="fast") for i in (u, e)]
    mod = tvm.IRModule.from_expr(relay.Function([x, u, e], relay.Tuple(values)))
    with quake_tvm.PassContext(opt_level=3, method="quake2"):
        lib = relay.build(mod, quake_tvm.target("native"))
    machine = graph_executor.GraphModule(lib["default"](tvm.cpu()))
    unsigned, signed = np.uint8([0, 5, 250]), np.int8([5, 127, -1])
    machine.run(x=np.arange(300, dtype=np.float32), u=unsigned, e=signed)
    np.testing.assert_array_equal(machine.get_output(0).numpy(), [0, 5, 250])
    np.testing.assert_array_equal(machine.get_output(1).numpy(), [5, 127, 299])
