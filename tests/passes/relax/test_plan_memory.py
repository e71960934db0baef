"""Memory is planned once for all sizes in the ranges of dynamic dimensions."""

import numpy as np
import pytest
import tvm
from tvm import relax, tirx

import quake_tvm
from quake_tvm.importers.bound_extents import with_ranges
from quake_tvm.passes.relax import plan_memory
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.passes.relax.plan_memory import PlanMemory
from tests.helpers import module


def three_kernels(x):
    return relax.op.nn.softmax(relax.op.sort(relax.op.nn.softmax(relax.op.sort(x))))


def planned(ranges, *names):
    """The sizes of the memory blocks that a plan has; None for those that each run computes."""
    mod = with_ranges(module(three_kernels, tuple(tirx.Var(n, "int64") for n in names)), ranges)
    on = quake_tvm.target("native")
    found = []
    with on:
        pipeline = Pipeline.of(on, method="quake4")
        mod = pipeline.between("prepare", "schedule")(mod)
        for step in pipeline._finish():
            mod = step(mod)
            if isinstance(step, PlanMemory):
                break

    def visit(e):
        if isinstance(e, relax.Call) and e.op == tvm.ir.Op.get("relax.memory.alloc_storage"):
            found.append(e.args[0].values[0])

    relax.analysis.post_order_visit(mod["main"], visit)
    assert found
    return [int(n) if isinstance(n, tirx.IntImm) else None for n in found]


def test_ranges_make_every_block_constant():
    sizes = planned({"batch": (1, 6), "length": (1, 50)}, "batch", "length")
    assert set(sizes) == {6 * 50 * 4}
    assert set(planned({}, "batch", "length")) == {None}


def test_a_dimension_without_a_range_leaves_the_plan_to_each_run():
    assert set(planned({"length": (1, 50)}, "batch", "length")) == {None}


def test_large_ranges_do_not_reserve_memory(monkeypatch):
    assert set(planned({"batch": (1, 2**40)}, "batch")) == {None}
    assert set(planned({"n": (1, 2**40), "m": (1, 2**40)}, "n", "m")) == {None}
    monkeypatch.setattr(plan_memory, "MOST", 50_000)
    assert set(planned({"batch": (1, 6000)}, "batch")) == {6000 * 4}
    assert set(planned({"batch": (1, 6250)}, "batch")) == {6250 * 4}
    monkeypatch.setattr(plan_memory, "MOST", 8 * 6000)
    assert set(planned({"batch": (1, 6001)}, "batch")) == {None}


@pytest.mark.parametrize("ranges", [{"n": (1, 40), "m": (2, 9)}, {}], ids=["ranges", "none"])
def test_results_are_those_of_static_shapes(ranges):
    shape = tuple(tirx.Var(n, "int64") for n in "nm")
    model = quake_tvm.compile(module(three_kernels, shape), ranges=ranges)
    generator = np.random.default_rng(0)
    for size in ((40, 9), (1, 2), (7, 5), (40, 2), (1, 9)):
        x = generator.standard_normal(size).astype(np.float32)
        static = quake_tvm.compile(module(three_kernels, size))
        np.testing.assert_array_equal(model.run(x)[0], static.run(x)[0])


def test_the_runtime_refuses_sizes_that_do_not_fit_the_plan():
    """A program that calls the library without its description gets an error."""
    model = quake_tvm.compile(
        module(three_kernels, (tirx.Var("n", "int64"),)), ranges={"n": (1, 9)}
    )
    with model._machines.one() as machine:
        machine.vm["main"](tvm.runtime.tensor(np.zeros(9, np.float32)))
        with pytest.raises(tvm.error.InternalError, match="storage allocation failure"):
            machine.vm["main"](tvm.runtime.tensor(np.zeros(5000, np.float32)))
