"""relay.build's kernels of every operator and rung are within their bounds, with special values."""

import functools
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tvm import relay
from tvm.contrib import graph_executor
from tvm.runtime import cpu

import quake_tvm
from quake_tvm.accuracy.float32_inputs import FLT_MAX, bit_patterns, special_inputs
from quake_tvm.machines.targets import target
from quake_tvm.numerics import reference
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound

from .modules import build, gelu, module, quake, random, run

ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]
ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]
INPUTS = np.concatenate([special_inputs(), *bit_patterns(1 << 16)])


def rungs(operator: str, x: np.ndarray, ieee: bool = True) -> dict[str, np.ndarray]:
    """The operator's results on every rung."""

    def formula(x: relay.Expr) -> relay.Expr:
        return relay.Tuple([quake(x, operator, method=m, ieee=ieee) for m in METHODS])

    machine = graph_executor.GraphModule(build(module(formula, x.shape))["default"](cpu()))
    machine.run(x0=x)
    return {m: machine.get_output(k).numpy() for k, m in enumerate(METHODS)}


def within(name: str, method: str, q: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where a result is within its bound, or overflows where the exact result nearly does."""
    promised = bound(name, method)
    with np.errstate(all="ignore"):
        close = np.abs(q - y) <= promised.relative * np.abs(y) + promised.absolute
    overflow = (np.abs(q) > FLT_MAX) & (np.abs(y) > FLT_MAX * (1 - 2.0**-5))
    return close | overflow | (q == y) | (np.isnan(q) & np.isnan(y))


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_bound_holds(operator: str) -> None:
    row = OPERATORS[operator]
    with np.errstate(all="ignore"):
        y = row.reference(reference.NUMPY, INPUTS.astype(np.float64), **row.parameters)
    for x, value in row.special.items():
        y[np.isnan(INPUTS) if np.isnan(x) else np.equal(INPUTS, x)] = value
    for method, q in rungs(operator, INPUTS).items():
        outside = ~within(operator, method, q, y)
        assert not np.any(outside), (method, INPUTS[outside][:5], q[outside][:5], y[outside][:5])


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_finite_mode_has_the_bits_of_ieee_mode(operator: str) -> None:
    x = INPUTS[np.isfinite(INPUTS)]
    guarded, unguarded = rungs(operator, x), rungs(operator, x, ieee=False)
    for method in METHODS:
        q, p = guarded[method], unguarded[method]
        # Between FLT_MAX and the clamp, quake1 without the guard stays finite for a few more
        # inputs.
        longer = method == "quake1" and operator in ("exp", "exp2")
        same = np.isfinite(q) if longer else np.full(x.shape, True)
        np.testing.assert_array_equal(q[same].view(np.uint32), p[same].view(np.uint32), method)


@functools.cache
def kernel(operator: str, method: str, rows: int, length: int) -> object:
    return build(module(lambda x: quake(x, operator, method=method), (rows, length)))


def run_rows(operator: str, method: str, x: np.ndarray) -> np.ndarray:
    return run(kernel(operator, method, *x.shape), x)


def exact_rows(operator: str, x: np.ndarray) -> np.ndarray:
    """The result in float64. Special rows give PyTorch's results."""
    x = x.astype(np.float64)
    with np.errstate(all="ignore"):
        top = x.max(-1, keepdims=True)
        if operator == "logsumexp":
            shift = np.where(np.isinf(top), 0, top)
            return (shift + np.log(np.exp(x - shift).sum(-1, keepdims=True)))[:, 0]
        e = np.exp(x - top)
        total = e.sum(-1, keepdims=True)
        return e / total if operator == "softmax" else x - top - np.log(total)


SPECIAL_ROWS = {
    "nan": [0, np.nan, 1],
    "plus_infinity": [0, np.inf, 1],
    "two_infinities": [np.inf, np.inf, 1],
    "only_minus_infinity": [-np.inf, -np.inf, -np.inf],
    "some_minus_infinity": [-np.inf, 0, -np.inf],
    "largest": [3.4e38, 0, -3.4e38],
    "mask": [-3.4028235e38, 2, 1],
}


@pytest.mark.parametrize("padding", [0, 15, 62])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", ROWS)
def test_special_rows(operator: str, method: str, padding: int) -> None:
    x = np.float32([row + [-np.inf] * padding for row in SPECIAL_ROWS.values()])
    good = within(operator, method, run_rows(operator, method, x), exact_rows(operator, x))
    for name, row in zip(SPECIAL_ROWS, good.reshape(len(x), -1), strict=True):
        assert np.all(row), name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", ROWS)
@settings(max_examples=25, deadline=None)
@given(
    x=hnp.arrays(
        np.float32,
        st.sampled_from([(1, 1), (1, 2), (3, 16), (2, 33), (1, 100)]),
        elements=st.floats(-300, 300, width=32),
    )
)
def test_any_row(operator: str, method: str, x: np.ndarray) -> None:
    assert np.all(within(operator, method, run_rows(operator, method, x), exact_rows(operator, x)))


@pytest.mark.parametrize("length", [1, 15, 17, 31, 197, 1000])
@pytest.mark.parametrize("operator", ROWS)
def test_odd_lengths(operator: str, length: int) -> None:
    x = random(7, length) * np.float32(4)
    q = run_rows(operator, "quake4", x)
    assert np.all(within(operator, "quake4", q, exact_rows(operator, x)))
    for k in (0, 6):  # other rows do not affect the result
        alone = run_rows(operator, "quake4", x[k : k + 1])
        np.testing.assert_array_equal(alone[0], q[k])


@given(x=hnp.arrays(np.float32, 24, elements=st.floats(width=32)))
@settings(max_examples=50, deadline=None)
def test_any_input_of_gelu(x: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        y = OPERATORS["gelu"].reference(reference.NUMPY, x.astype(np.float64))
    y[np.isneginf(x)] = 0
    assert np.all(within("gelu", "quake3", run(small_gelu(), x), y))


@functools.cache
def small_gelu() -> object:
    return build(module(lambda x: quake(x, "gelu", method="quake3"), (24,)))


def hash_of_result() -> str:
    """A hash of the bits of a model that has work for several threads."""

    def formula(x: relay.Expr) -> relay.Expr:
        wide = gelu(relay.nn.dense(x, relay.const(random(96, 64))))
        return relay.nn.log_softmax(relay.tanh(wide) * relay.logsumexp(wide, 1, True))

    with quake_tvm.PassContext(opt_level=3, method="quake2"):
        lib = relay.build(module(formula, (512, 64)), target())
    return hashlib.sha256(run(lib, random(512, 64)).tobytes()).hexdigest()


def test_threads_do_not_change_the_bits() -> None:
    command = "from tests.relay.test_kernels import hash_of_result; print(hash_of_result())"
    results = set()
    for threads in ("1", "3"):
        environment = {**os.environ, "TVM_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", command],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        results.add(done.stdout.splitlines()[-1])
    assert len(results) == 1
