"""Float expressions that TVM's simplifier would change give NumPy's results in fused kernels."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.keep_zeros import KeepZeros
from quake_tvm.schedules.keep_floats import keep_floats
from quake_tvm.tvm_version import tir
from tests.helpers import c, module, once

op = relax.op
NAN, INF = np.nan, np.inf
A = np.float32([NAN, 1, -1, 2, -3, NAN, 4, -5, INF, -INF, 0, -0.0, 1e-40, 1e-8, INF, NAN, 7] * 3)
B = np.roll(A, 3)

# The graph, and the same in NumPy. Truth values are 0 and 1.
CASES = {
    "a != b": (op.not_equal, np.not_equal),
    "a != a": (lambda a, b: op.not_equal(a, a), lambda a, b: a != a),
    "not a < b": (lambda a, b: op.logical_not(op.less(a, b)), lambda a, b: ~(a < b)),
    "not a >= b": (lambda a, b: op.logical_not(op.greater_equal(a, b)), lambda a, b: ~(a >= b)),
    "not a == b": (lambda a, b: op.logical_not(op.equal(a, b)), lambda a, b: ~(a == b)),
    "not (a < b and 0 < a)": (
        lambda a, b: op.logical_not(op.logical_and(op.less(a, b), op.less(c(0.0), a))),
        lambda a, b: ~((a < b) & (a > 0)),
    ),
    "a < b or a >= b": (
        lambda a, b: op.logical_or(op.less(a, b), op.greater_equal(a, b)),
        lambda a, b: (a < b) | (a >= b),
    ),
    "a == b or a != b": (
        lambda a, b: op.logical_or(op.equal(a, b), op.not_equal(a, b)),
        lambda a, b: (a == b) | (a != b),
    ),
    "a < b ? 1 : b <= a ? 2 : 3": (
        lambda a, b: op.where(op.less(a, b), c(1.0), op.where(op.less_equal(b, a), c(2.0), c(3.0))),
        lambda a, b: np.where(a < b, 1, np.where(b <= a, 2, 3)),
    ),
    "(a + b) - b": (lambda a, b: op.subtract(op.add(a, b), b), lambda a, b: (a + b) - b),
    "a - (b + a)": (lambda a, b: op.subtract(a, op.add(b, a)), lambda a, b: a - (b + a)),
    "(a + 2^23) - 2^23": (
        lambda a, b: op.subtract(op.add(a, c(8388608.0)), c(8388608.0)),
        lambda a, b: (a + np.float32(8388608)) - np.float32(8388608),
    ),
    "s - s": (
        lambda a, b: (lambda s: op.subtract(s, s))(once(op.add(a, b))),
        lambda a, b: a + b - (a + b),
    ),
    "(a < b ? a : b) - b": (
        lambda a, b: op.subtract(op.where(op.less(a, b), a, b), b),
        lambda a, b: np.where(a < b, a, b) - b,
    ),
    "a + 0": (lambda a, b: op.add(a, c(0.0)), lambda a, b: a + np.float32(0)),
    "0 + a": (lambda a, b: op.add(c(0.0), a), lambda a, b: np.float32(0) + a),
    "a - -0": (lambda a, b: op.subtract(a, c(-0.0)), lambda a, b: a - np.float32(-0.0)),
    "a - 0": (lambda a, b: op.subtract(a, c(0.0)), lambda a, b: a - np.float32(0)),
    "a * 0": (lambda a, b: op.multiply(a, c(0.0)), lambda a, b: a * np.float32(0)),
    "a / 0": (lambda a, b: op.divide(a, c(0.0)), lambda a, b: a / np.float32(0)),
    "0 / a": (lambda a, b: op.divide(c(0.0), a), lambda a, b: np.float32(0) / a),
}


def test_graphs_on_exact():
    mod = module(lambda a, b: tuple(f(a, b) for f, _ in CASES.values()), A.shape, B.shape)
    found = quake_tvm.compile(mod, method="exact").run([A, B])
    with np.errstate(all="ignore"):
        wanted = [f(A, B) for _, f in CASES.values()]
    for name, q, y in zip(CASES, found, wanted, strict=True):
        np.testing.assert_array_equal(q, y, err_msg=name)
        if q.dtype == np.float32:
            signs = np.signbit(q) == np.signbit(y)
            assert np.all(signs | np.isnan(y)), name


@pytest.mark.parametrize("name", ["not a < b", "(a + b) - b", "s - s"])
def test_fused_alone(name):
    ours, numpys = CASES[name]
    (q,) = quake_tvm.compile(module(ours, A.shape, B.shape), method="exact").run([A, B])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(q, numpys(A, B))


def test_what_is_safe_stays():
    a, b = tir.Var("a", "float32"), tir.Var("b", "float32")
    i, j = tir.Var("i", "int32"), tir.Var("j", "int32")
    values = [a - b, a + b - a * b, tir.LT(a, b), tir.Not(tir.LT(i, j)), i + j - j, tir.NE(i, j)]
    body = tir.SeqStmt([tir.Evaluate(value) for value in values])
    function = tir.PrimFunc([a, b, i, j], body)
    assert keep_floats(function).body.same_as(body)


def test_zeros_become_tensors_only_where_that_keeps_the_shape():
    zeros = module(lambda x: op.multiply(x, c(0.0)))
    assert not KeepZeros()(zeros).same_as(zeros)
    scalar = module(lambda x: op.multiply(x, c(0.0)), ())
    assert KeepZeros()(scalar).same_as(scalar)
    ones = module(lambda x: op.multiply(x, c(1.0)))
    assert KeepZeros()(ones).same_as(ones)


def test_quotients_of_sizes_are_not_shared():
    """TVM would give a quotient that occurs twice a name, and then fail."""
    n, m = tir.Var("n", "int64"), tir.Var("m", "int64")
    ratio = tir.Cast("float32", n) / tir.Cast("float32", m)
    kept = keep_floats(tir.PrimFunc([n, m], tir.Evaluate(ratio))).body.value
    assert isinstance(kept.b, tvm.ir.Call)
    assert kept.b.args[-1].same_as(ratio.b)
