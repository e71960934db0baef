"""Small buffers are on the stack, larger ones in TVM's pool, and both give the right results."""

import numpy as np
import pytest
import tvm
from tvm import te, topi

from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule
from tests.schedules.kernels import RNG, placeholder


def pool():
    x = placeholder(1, 64, 64, 32)
    return [x, topi.nn.pool2d(x, (2, 2), (2, 2), (1, 1), (0, 0, 0, 0), "max", layout="NHWC")]


def product():
    a, b = placeholder(17, 20, name="a"), placeholder(20, 64, name="b")
    return [a, b, topi.nn.relu(topi.matmul(a, b))]


def built(function):
    """(LLVM IR, the callable) of a PrimFunc."""
    module = tvm.compile(function, target=target())
    return module.mod.inspect_source("ll"), module["main"]


@pytest.mark.parametrize("make", [pool, product])
def test_tiles_are_on_the_stack(make):
    function = schedule(te.create_prim_func(make()), target())
    assert 'scope="local"' in function.script()
    assert "TVMBackendAllocWorkspace" not in built(function)[0]


@pytest.mark.parametrize("size", [256, 1024, 1025])
def test_large_buffers_are_in_the_pool(size):
    x = placeholder(size)
    doubled = te.compute((size,), lambda i: x[i] * 2.0, name="doubled")
    y = te.compute((size,), lambda i: doubled[size - 1 - i] + x[i])
    source, run = built(te.create_prim_func([x, y]))
    assert ("TVMBackendAllocWorkspace" in source) == (size > 1024)  # 4 KiB
    given, out = RNG(0).normal(size=size).astype(np.float32), tvm.runtime.empty((size,), "float32")
    run(tvm.runtime.tensor(given), out)
    np.testing.assert_array_equal(out.numpy(), given[::-1] * 2 + given)
