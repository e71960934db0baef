"""Products of odd and of dynamic sizes: right up to rounding, with the bits of the plain loops.

``tests/test_forms.py`` checks that bits do not depend on the number of threads.
"""

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te, topi

from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pack_weights import packed_matmul, panels
from quake_tvm.schedules import RULE, product_tiles, schedule
from quake_tvm.schedules.tiles import mentions
from quake_tvm.tvm_version import tir
from tests.schedules.kernels import (
    RNG,
    both,
    build_and_run,
    convolution,
    numpy_convolution,
    placeholder,
    random_inputs,
)

TARGETS = ["x86-64-v2", "x86-64-v3", "native"]
SIZES = [1, 2, 15, 17, 31, 33, 257]


def random(*shape):
    return RNG(0).normal(size=shape).astype(np.float32)


def assert_product(y, a, b):
    """Check a product of normal random numbers up to float32's rounding of sums."""
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert y.shape == exact.shape
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=2e-6 * a.shape[-1] ** 0.5 + 1e-6)


def plain_matmul(a, b):
    """a (.., m, k) by b (k, n) or (.., k, n)."""
    k = te.reduce_axis((0, a.shape[-1]), "k")

    def element(*i):
        *batch, row, column = i
        batch_of_b = batch[len(batch) + 2 - len(b.shape) :]
        return te.sum(a(*batch, row, k) * b(*batch_of_b, k, column), k)

    return te.compute((*a.shape[:-1], b.shape[-1]), element, name="matmul")


def product(a, b, name="native"):
    """The rule's and the plain product of two placeholders, and their arrays."""
    y = plain_matmul(a, b)
    rule, ours, plain = both([a, b], y, name)
    np.testing.assert_array_equal(ours, plain)
    assert_product(ours, *random_inputs([a, b]))
    return rule


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("m", [1, 2, 17, 33, 257])
def test_sizes(m, n):
    product(placeholder(m, 19, name="a"), placeholder(19, n, name="b"))


@settings(max_examples=30, deadline=None)
@given(
    m=st.integers(1, 70),
    k=st.integers(1, 40),
    n=st.integers(1, 140),
    batch=st.integers(1, 3),
    name=st.sampled_from(TARGETS),
)
def test_any(m, k, n, batch, name):
    product(placeholder(batch, m, k, name="a"), placeholder(batch, k, n, name="b"), name)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 257), (257, 1), (1, 3), (33, 2)])
def test_vectors(m, n, name):
    product(placeholder(m, 131, name="a"), placeholder(131, n, name="b"), name)


def test_one_matrix_for_a_batch():
    assert product(placeholder(3, 5, 17, name="a"), placeholder(17, 33, name="b")) == "matmul"


def test_work_for_threads():
    assert product(placeholder(2, 131, 64, name="a"), placeholder(2, 64, 197, name="b")) == "matmul"


def sized(*shape, name):
    """A placeholder whose extents all have one type, as in Relax."""
    return placeholder(
        *(tir.const(n, "int64") if isinstance(n, int) else n for n in shape), name=name
    )


def dynamic(m, k, n, name="native"):
    """(rule, kernel) of a product. Extents given as None are dynamic."""
    m, k, n = (
        te.var(v, dtype="int64") if size is None else size
        for v, size in zip("mkn", (m, k, n), strict=True)
    )
    a, b = sized(m, k, name="a"), sized(k, n, name="b")
    function = schedule(te.create_prim_func([a, b, plain_matmul(a, b)]), target(name))
    return str(function.attrs[RULE]), tvm.compile(function, target=target(name))["main"]


def call(kernel, a, b, shape):
    out = tvm.runtime.empty(shape, "float32")
    kernel(tvm.runtime.tensor(a), tvm.runtime.tensor(b), out)
    return out.numpy()


@pytest.mark.parametrize("name", ["x86-64-v3", "native"])
@pytest.mark.parametrize(
    "unknown", ["m", "n", "k", "mn", "mk", "kn", "mkn"], ids=lambda unknown: f"unknown_{unknown}"
)
def test_dynamic(unknown, name):
    known = {"m": 17, "k": 19, "n": 33}
    extents = [None if v in unknown else known[v] for v in "mkn"]
    rule, kernel = dynamic(*extents, name)
    assert rule == "matmul"
    for size in [0, *SIZES]:
        m, k, n = (size if v in unknown else known[v] for v in "mkn")
        a, b = random(m, k), random(k, n)
        assert_product(call(kernel, a, b, (m, n)), a, b)
    for m, k, n in [(1, 33, 257), (33, 2, 1), (65, 1, 15), (2, 257, 129)]:
        m, k, n = (
            size if v in unknown else known[v] for v, size in zip("mkn", (m, k, n), strict=True)
        )
        a, b = random(m, k), random(k, n)
        assert_product(call(kernel, a, b, (m, n)), a, b)


@pytest.mark.parametrize("columns", [4, 33, 96])
@pytest.mark.parametrize("name", TARGETS)
def test_dynamic_rows_of_packed_weights(name, columns):
    m = te.var("m", dtype="int64")
    weights = random(19, columns)
    packed = panels(weights, product_tiles.panel(None, columns, target(name)))
    a, w = sized(m, 19, name="a"), sized(*packed.shape, name="w")
    y = topi.nn.relu(packed_matmul(a, w, columns))
    function = schedule(te.create_prim_func([a, w, y]), target(name))
    assert function.attrs[RULE] == "matmul"
    kernel = tvm.compile(function, target=target(name))["main"]
    for rows in [0, *SIZES]:
        x = random(rows, 19)
        result = call(kernel, x, packed, (rows, columns))
        np.testing.assert_allclose(result, np.maximum(x @ weights, 0), rtol=1e-5, atol=1e-5)


def test_dynamic_batch():
    m = te.var("m", dtype="int64")
    a, b = sized(m, 17, 19, name="a"), sized(m, 19, 33, name="b")
    function = schedule(te.create_prim_func([a, b, plain_matmul(a, b)]), target())
    assert function.attrs[RULE] == "matmul"
    kernel = tvm.compile(function, target=target())["main"]
    for batch in (0, 1, 5):
        x, y = random(batch, 17, 19), random(batch, 19, 33)
        assert_product(call(kernel, x, y, (batch, 17, 33)), x, y)


@pytest.mark.parametrize("rows", [1, 17, 257])
def test_dynamic_rows_have_the_bits_of_static_ones(rows):
    m = te.var("m", dtype="int64")
    x, y = random(rows, 19), random(19, 33)
    results = []
    for size in (m, rows):
        a, b = sized(size, 19, name="a"), sized(19, 33, name="b")
        function = schedule(te.create_prim_func([a, b, plain_matmul(a, b)]), target())
        results.append(build_and_run(function, [x, y], (rows, 33)))
    np.testing.assert_array_equal(*results)


def check_convolution(shape, channels, size, groups=1, name="native", **options):
    inputs, y, given, weights = convolution(shape, channels, size, groups, name, **options)
    rule, ours, plain = both(inputs, y, name, given)
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)
    exact = numpy_convolution(random_inputs(inputs, given)[0], weights, groups, **options)
    np.testing.assert_allclose(ours.reshape(exact.shape), exact, rtol=1e-5, atol=1e-4)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_windows(size, strides, name):
    check_convolution(
        (1, 13, 15, 3), 21, size, name=name, strides=strides, padding=(size // 2, size // 3)
    )


@pytest.mark.parametrize("channels", [(1, 16), (3, 17), (16, 33), (17, 4), (33, 144)], ids=str)
def test_channels(channels):
    inputs, outputs = channels
    check_convolution((1, 9, 17, inputs), outputs, 3, padding=(1, 1))


@pytest.mark.parametrize("pixels", [1, 2, 15, 17, 31, 33, 199])
def test_pixels(pixels):
    check_convolution((2, 3, pixels, 5), 20, 3, padding=(1, 1))


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_groups(groups):
    check_convolution((1, 9, 11, groups * 5), groups * 7, 3, groups, strides=2, padding=(1, 0))


def test_dilation_and_other_ranks():
    check_convolution((1, 15, 16, 6), 17, 3, dilation=2, strides=2, padding=(2, 1))
    check_convolution((3, 37, 6), 17, 5, padding=(2, 2))
    check_convolution((1, 5, 6, 7, 4), 17, 3, strides=2, padding=(1, 0))


@pytest.mark.parametrize(
    ("rows", "depth", "columns", "threads"),
    [
        (1, 96, 128, False),
        (16, 64, 64, False),
        (256, 8, 16, False),  # as many results as the next one, of few products each
        (32, 128, 128, True),
        (1, 1536, 128, False),  # 8 us: two threads gain little, and one that sleeps costs more
        (1, 1536, 512, True),
    ],
)
def test_threads_start_only_where_a_product_takes_longer_than_starting_them(
    rows, depth, columns, threads
):
    a, b = placeholder(rows, depth, name="a"), placeholder(depth, columns, name="b")
    done = schedule(te.create_prim_func([a, b, plain_matmul(a, b)]), target("x86-64-v3"))
    assert done.attrs[RULE] == "matmul"

    def parallel(loop):
        return loop.kind == tir.ForKind.PARALLEL

    assert mentions(done.body, tir.For, parallel) == threads
