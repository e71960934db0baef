"""A recorded trace schedules its own kernel with the same bits, or gives the reason why not."""

import subprocess
import warnings

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import te, topi

from quake_tvm.machines.targets import target
from quake_tvm.schedules import RECORD, RULE, analysis, schedule
from quake_tvm.schedules.fence import fence_products
from quake_tvm.schedules.records.book import Book
from quake_tvm.schedules.records.files import RecordWarning
from quake_tvm.schedules.records.record import Trace
from quake_tvm.schedules.records.trace import fingerprint, replay, trace_of
from tests.processes import python
from tests.schedules.kernels import build_and_run, placeholder, random_inputs
from tests.schedules.sample_records import plant, record

NATIVE = target()


def operands():
    return [placeholder(16, 24, name="a"), placeholder(24, 16, name="b")]


def kernel(extent=6):
    """A product summed over two iterators, followed by an epilogue."""
    a, b = operands()
    k = te.reduce_axis((0, 24 // extent), name="k")
    q = te.reduce_axis((0, extent), name="q")
    c = te.compute(
        (16, 16),
        lambda i, j: te.sum(a[i, k * extent + q] * b[k * extent + q, j], axis=[k, q]),
        name="c",
    )
    return te.create_prim_func([a, b, topi.nn.relu(c)])


def traced(steps):
    """The trace of these steps on the product's loops."""
    fenced = fence_products(kernel())
    sch = analysis.start(fenced)
    steps(sch, sch.get_sblock("c"), *sch.get_loops(sch.get_sblock("c")))
    return trace_of(fenced, sch)


def nothing(sch, block, *loops):
    pass


def tiled(sch, block, i, j, k, q):
    i_outer, i_inner = sch.split(i, [None, 5])
    k_outer, k_inner = sch.split(k, [None, 3])
    sch.reorder(i_outer, k_outer, j, k_inner, i_inner, q)
    sch.vectorize(sch.split(i_inner, [None, 2])[1])
    sch.decompose_reduction(block, k_outer)


def at_the_epilogue(sch, block, i, *_):
    rows, columns = sch.get_loops(sch.get_sblock("compute"))
    sch.parallel(rows)
    sch.compute_at(block, rows)
    sch.annotate(columns, "pragma_auto_unroll_max_step", 16)


def swapped(sch, block, i, j, k, q):
    sch.reorder(q, k)


def tiles_of_both(sch, block, i, j, k, q):
    k_outer, k_inner = sch.split(k, [2, 2])
    q_outer, q_inner = sch.split(q, [2, 3])
    sch.reorder(k_outer, q_outer, k_inner, q_inner)


def fused(sch, block, i, j, k, q):
    sch.fuse(k, q)


def partial_sums(sch, block, i, j, k, q):
    sch.rfactor(k, 0)


@pytest.mark.parametrize("steps", [nothing, tiled, at_the_epilogue])
def test_a_trace_gives_the_bits_of_the_plain_loops(steps):
    trace = traced(steps)
    function = schedule(kernel(), NATIVE, recorded=lambda _: trace)
    assert (function.attrs[RULE], function.attrs[RECORD]) == ("trace", "record, same kernel")
    arrays = random_inputs(operands())
    ours, plain = (build_and_run(f, arrays, (16, 16)) for f in (function, kernel()))
    np.testing.assert_array_equal(ours.view("uint32"), plain.view("uint32"))


def broken(steps):
    return Trace("0" * 16, tvm.__version__, steps)


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        (traced(swapped), "another order"),
        (traced(tiles_of_both), "another order"),
        (traced(fused), "another order"),
        (traced(partial_sums), "change what is computed"),
        (broken([[["GetSBlock", [], ["nowhere", "main"], ["b0"]]], []]), "get-block"),
        (broken([[["GetLoops", ["b0"], [], ["l0"]]], []]), "not defined"),
        (broken([[["Frobnicate", [], [], []]], []]), "change what is computed"),
        (broken([[3], 4]), ""),
        (broken([{}, "x"]), ""),
        (broken([[["GetSBlock", 1, None, {}]], []]), ""),
    ],
)
def test_a_trace_that_does_not_fit_costs_a_warning(trace, reason):
    with pytest.warns(RecordWarning, match=reason) as caught:
        function = schedule(kernel(), NATIVE, recorded=lambda _: trace)
    assert "\n" not in str(caught[0].message)
    by_rule = schedule(kernel(), NATIVE)
    assert RECORD not in function.attrs
    assert tvm_ffi.structural_equal(function, by_rule)


def test_a_fingerprint_is_of_what_is_computed():
    own = fingerprint(kernel())
    assert own == fingerprint(kernel().with_attr("global_symbol", "other").with_attr("x", 1))
    assert own != fingerprint(kernel(4))
    command = "from tests.schedules.records.test_trace import *; print('is', fingerprint(kernel()))"
    done = subprocess.run(python(command), capture_output=True, text=True)
    assert done.stdout.split()[-2:] == ["is", own], done.stderr


def test_a_book_has_traces_for_this_kernel_machine_and_tvm_alone(tmp_path):
    good = traced(tiled)
    fenced = fence_products(kernel())
    plant(
        tmp_path,
        record("native", trace=Trace(good.kernel, "0.26.0", good.steps)),
        record("native", trace=traced(nothing), cost=2e-3),
        record("native", trace=good, cores=99),
        record("cortex-a72", trace=good),
    )
    assert Book([tmp_path], NATIVE).trace(fenced) is None
    plant(tmp_path, record("native", trace=good))
    plant(tmp_path, record("native", trace=traced(nothing), cost=1.5e-3))
    book = Book([tmp_path], NATIVE)
    assert book.trace(fenced) == good
    assert book.trace(fence_products(kernel(4))) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert replay(fenced, good) is not None
    plant(tmp_path, record("native", shape=(9, 9, 9), cost=1e-6), record("native", cost=9e-4))
    assert Book([tmp_path], NATIVE).trace(fenced) is None  # a record with numbers takes precedence
