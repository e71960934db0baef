"""Rows shorter than a vector, of a length that only the run knows."""

import numpy as np
import pytest
import tvm_ffi
from tvm import relax

import quake_tvm
from quake_tvm.kernels.row_kernel import kernel
from quake_tvm.kernels.rows import LANES, Row, maximum, sequence, total
from quake_tvm.tvm_version import tir
from tests.helpers import module

nn = relax.op.nn
SHORTER = [1 << n for n in range(1, LANES.bit_length() - 1)]


def walked(lanes):
    """The statements that reduce a row of unknown length and then go along it."""
    length = tir.Var("n", "int64")
    x = tir.decl_buffer((length,), "float32", "x")
    row = Row(length, lanes)
    found = [reduce(row, lambda i: x[i])[0] for reduce in (maximum, total)]
    return sequence(*found[0], *found[1], row.each(lambda i: tir.BufferStore(x, x[i] + 1, [i])))


def normalized(x):
    """A norm of rows of unknown length, which divides by it."""
    one, zero = relax.const(1, x.ty.dtype), relax.const(0, x.ty.dtype)
    scale, bias = (relax.op.full([x.ty.shape[1]], value) for value in (one, zero))
    return nn.layer_norm(x, scale, bias, axes=[-1])


def serial_loops(statement):
    loops = []

    def see(loop):
        loops.extend([loop] if loop.kind == tir.ForKind.SERIAL else [])

    tvm_ffi.structural_walk(statement, (tir.For, see))
    return loops


@pytest.mark.parametrize("lanes", SHORTER)
def test_one_chunk_needs_no_loop(lanes):
    assert not serial_loops(walked(lanes))


@pytest.mark.parametrize(("length", "lanes"), [(0, 1), (3, LANES)])
def test_no_chunk_needs_no_statement(length, lanes):
    row = Row(length, lanes)
    for walk in (row.whole, row.each):
        assert not serial_loops(walk(lambda i: tir.Evaluate(i)))


def test_many_chunks_need_loops():
    assert serial_loops(walked(LANES))


@pytest.mark.parametrize("operator", [nn.softmax, nn.log_softmax, lambda x: relax.op.sum(x, -1)])
def test_bits_are_those_of_a_static_length(operator):
    anything = quake_tvm.compile(module(operator, (7, tir.Var("n", "int64"))))
    generator = np.random.default_rng(0)
    for length in (1, 2, 3, 5, 7, 8, 13, 15, 16, 17):
        x = generator.normal(0, 3, (7, length)).astype(np.float32)
        one = quake_tvm.compile(module(operator, x.shape))
        np.testing.assert_array_equal(anything.run([x])[0], one.run([x])[0])


def test_a_mask_whose_row_is_found_by_a_division_by_the_length():
    """Rows of no element are a version of the kernel, which divided by 0 while it was compiled."""
    batch, n = tir.Var("b", "int64"), tir.Var("n", "int64")

    def masked(x, mask):
        scores = relax.op.multiply(x, relax.const(0.25, "float32"))
        return nn.softmax(relax.op.add(scores, mask))

    anything = quake_tvm.compile(module(masked, (batch, 4, n, n), (batch, 1, 1, n)))
    generator = np.random.default_rng(0)
    for b, length in ((2, 0), (2, 1), (3, 5), (1, 40), (2, 130)):
        x = generator.normal(0, 3, (b, 4, length, length)).astype(np.float32)
        mask = np.where(generator.random((b, 1, 1, length)) < 0.5, -9, 0).astype(np.float32)
        (found,) = anything.run([x, mask])
        one = quake_tvm.compile(module(masked, x.shape, mask.shape)).run([x, mask])[0]
        np.testing.assert_array_equal(found, one)
        e = np.exp(x / 4 + mask)
        np.testing.assert_allclose(found, e / e.sum(-1, keepdims=True), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("operator", [nn.softmax, nn.log_softmax, normalized])
def test_several_rows_at_once_have_the_bits_of_one(operator, dtype):
    """Unknown sizes: rows of a chunk, of parts of it and of several; the last four rows overlap."""
    rows, length = tir.Var("m", "int64"), tir.Var("n", "int64")
    anything = quake_tvm.compile(module(operator, (rows, length), dtype=dtype))
    alone = quake_tvm.compile(module(operator, (1, length), dtype=dtype))
    generator = np.random.default_rng(0)
    for n in (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 128, 129):
        for m in (0, 1, 3, 4, 7, 1200):
            x = generator.normal(0, 3, (m, n)).astype(dtype)
            found = anything.run([x])[0]
            for r in {0, m // 2, m - 1} if m else ():
                np.testing.assert_array_equal(found[r : r + 1], alone.run([x[r : r + 1]])[0])


def test_each_version_of_short_rows_has_its_loop_over_rows_around_it():
    """A kernel decides between rows of one chunk and of several once, not for each row."""
    rows, length = tir.Var("m", "int64"), tir.Var("n", "int64")
    seen = []

    def program(row, at):
        seen.append((row.lanes, row.chunks if isinstance(row.chunks, int) else None))
        return [tir.Evaluate(length)]

    kernel([rows], length, program)
    assert seen.count((LANES, 1)) == 4
    assert all(seen.count((lanes, 1)) >= 4 for lanes in SHORTER)


def test_norms_of_images_of_unknown_size_divide_by_it():
    """Also the version for rows of no element, whose length is no constant."""
    ones = relax.const(np.ones(3, np.float32))
    shape = [tir.Var(name, "int64") for name in ("n", "h", "w")]

    def formula(x):
        return nn.instance_norm(x, ones, ones, channel_axis=1, axes=[2, 3])

    anything = quake_tvm.compile(module(formula, (shape[0], 3, *shape[1:])))
    for sizes in ((1, 1), (1, 3), (2, 5), (5, 7)):
        x = np.random.default_rng(0).normal(0, 3, (2, 3, *sizes)).astype(np.float32)
        one = quake_tvm.compile(module(formula, x.shape))
        np.testing.assert_array_equal(anything.run([x])[0], one.run([x])[0])
