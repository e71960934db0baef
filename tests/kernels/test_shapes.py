"""Every rank, axis and row length, static and symbolic, within the bound on the native target.

The lengths include those around sixteen, because rows are summed in chunks of sixteen lanes, and
zero, because TVM then starts a reduction without elements. Some dimensions are dynamic.
"""

import itertools

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.numerics import reference
from quake_tvm.numerics.operators import OPERATORS
from tests.helpers import module, once

# The rung with the smallest bounds.
METHOD = "quake5"
ROWS = ("softmax", "log_softmax", "logsumexp")
ELEMENTWISE = ("exp", "tanh", "gelu")
EXTENTS = (2, 3, 1, 4, 2, 3)
LENGTHS = (0, 1, 2, 15, 16, 17, 31, 33, 197, 1000)
AXES = [(rank, axis) for rank in range(1, 7) for axis in range(rank)]


def formula(operator, axis):
    """The operator in Relax. logsumexp has the ONNX importer's form, without the reduced axis."""
    if operator == "logsumexp":
        return lambda x: relax.op.squeeze(log_sum_exp(x, axis), axis)
    if operator in ROWS:
        return lambda x: getattr(relax.op.nn, operator)(x, axis)
    return relax.op.nn.gelu if operator == "gelu" else getattr(relax.op, operator)


def log_sum_exp(x, axis):
    top = once(relax.op.max(x, axis, keepdims=True))
    total = relax.op.sum(relax.op.exp(x - top), axis, keepdims=True)
    return relax.op.log(total) + top


def exact(operator, x, axis):
    x = x.astype(np.float64)
    if operator in ELEMENTWISE:
        return OPERATORS[operator].reference(reference.NUMPY, x)
    top = x.max(axis, keepdims=True, initial=-np.inf)
    top[np.isinf(top)] = 0
    e = np.exp(x - top)
    total = e.sum(axis, keepdims=True)
    if operator == "softmax":
        return e / total
    with np.errstate(divide="ignore"):  # the logarithm of an empty sum
        log = np.log(total)
    return x - top - log if operator == "log_softmax" else np.squeeze(top + log, axis)


def symbolic(shape):
    """Replace names by symbolic dimensions, one for each name."""
    names = {n: tvm.tirx.Var(n, "int64") for n in shape if isinstance(n, str)}
    return tuple(names.get(n, n) for n in shape)


def check(operator, shape, axis=-1, runs=None):
    """Compile for ``shape``, run with shape ``runs`` (by default ``shape``), and compare."""
    compiled = quake_tvm.compile(module(formula(operator, axis), symbolic(shape)), method=METHOD)
    assert [site.operator for site in compiled.report.sites] == [operator] * (0 not in shape)
    bound = quake_tvm.bound(operator, METHOD)
    random = np.random.default_rng(0)
    for run in runs or [shape]:
        x = random.normal(scale=4, size=run).astype(np.float32)
        y, (q,) = exact(operator, x, axis), compiled.run(x)
        assert q.shape == y.shape, run
        with np.errstate(invalid="ignore"):  # -inf - -inf
            close = np.abs(q - y) <= bound.relative * np.abs(y) + bound.absolute
        assert np.all(close | (q == y)), run


@pytest.mark.sampled(2)
@pytest.mark.parametrize("operator", ROWS)
@pytest.mark.parametrize(("rank", "axis"), AXES, ids=str)
def test_rows_of_every_rank_along_every_axis(operator, rank, axis):
    check(operator, EXTENTS[:rank], axis)


@pytest.mark.parametrize("operator", ROWS)
@pytest.mark.parametrize("length", LENGTHS)
def test_rows_of_every_length(operator, length):
    check(operator, (5, length))


@pytest.mark.parametrize("operator", ROWS)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_single_row(operator, length):
    check(operator, (length,))


@pytest.mark.parametrize("operator", ROWS)
@pytest.mark.parametrize("length", [1, 16, 33])
def test_columns(operator, length):
    check(operator, (3, length, 2), axis=1)


@pytest.mark.parametrize("operator", ["softmax", "log_softmax"])
def test_columns_of_nothing(operator):
    compiled = quake_tvm.compile(module(formula(operator, 1), (3, 0, 2)))
    assert compiled.run(np.zeros((3, 0, 2), np.float32))[0].shape == (3, 0, 2)


@pytest.mark.parametrize("operator", ROWS)
@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 3), (0, 0)], ids=str)
def test_no_rows(operator, shape):
    check(operator, shape)


@pytest.mark.parametrize("operator", ROWS)
@pytest.mark.parametrize(
    ("shape", "axis", "runs"),
    [
        (("m",), 0, [(m,) for m in range(41)]),
        (("n", 20), 1, [(n, 20) for n in range(41)]),
        (("n", 32), 1, [(n, 32) for n in range(4)]),
        ((3, "m"), 1, [(3, m) for m in range(41)]),
        (("n", "m"), 1, list(itertools.product((0, 1, 3), range(41)))),
        (("n", "m"), 0, list(itertools.product(range(41), (0, 1, 5)))),
        (("n", 3, "m", "m"), 3, [(2, 3, m, m) for m in range(41)]),
        ((2, "n", 3, "m"), 1, list(itertools.product((2,), range(41), (3,), (0, 5)))),
    ],
    ids=["m", "n_20", "n_32", "3_m", "n_m", "column", "attention", "inner"],
)
def test_dynamic_rows(operator, shape, axis, runs):
    check(operator, shape, axis, runs)


@pytest.mark.parametrize("operator", ELEMENTWISE)
@pytest.mark.parametrize("rank", range(7))
def test_elementwise_of_every_rank(operator, rank):
    check(operator, EXTENTS[:rank])


@pytest.mark.parametrize("operator", ELEMENTWISE)
@pytest.mark.parametrize("length", LENGTHS)
def test_elementwise_of_every_length(operator, length):
    check(operator, (3, length))


@pytest.mark.parametrize("operator", ELEMENTWISE)
@pytest.mark.parametrize(
    ("shape", "runs"),
    [
        (("m",), [(m,) for m in range(41)]),
        (("n", 20), [(n, 20) for n in range(41)]),
        ((3, "m"), [(3, m) for m in range(41)]),
        (("n", "m", 2), list(itertools.product((0, 1, 3), range(41), (2,)))),
    ],
    ids=["m", "n_20", "3_m", "n_m_2"],
)
def test_dynamic_elementwise(operator, shape, runs):
    check(operator, shape, runs=runs)


@pytest.mark.parametrize("operator", ROWS)
@pytest.mark.parametrize("length", [10, 20, 40])
def test_rows_are_not_inlined_into_their_neighbours(operator, length):
    # TVM classifies a kernel without a reduction loop as element-wise, and fuses it as such.
    def network(x, w):
        logits = once(relax.op.nn.relu(relax.op.matmul(x, w)))
        return relax.op.nn.relu(formula(operator, -1)(logits))

    compiled = quake_tvm.compile(module(network, (4, 8), (8, length)), method=METHOD)
    assert [site.schedule for site in compiled.report.sites] == ["rows"]
