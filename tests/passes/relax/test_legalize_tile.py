"""A tensor is repeated as a broadcast of a view."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.legalize import legalize
from quake_tvm.passes.relax.legalize_tile import RULES
from quake_tvm.tvm_version import tir
from tests.helpers import module

op = relax.op
REPEATS = [(2, 3, 4), (3,), (2, 1), (1, 1, 1), (2, 1, 2, 3), (1, 0, 1)]


def test_expected():
    n, m = (tir.Var(name, "int64") for name in "nm")
    before = module(lambda x: op.tile(x, [2, 3]), (n, m))
    lv = relax.BlockBuilder.current
    expected = module(
        lambda x: op.reshape(
            lv().emit(op.broadcast_to(lv().emit(op.reshape(x, [1, n, 1, m])), [2, n, 3, m])),
            [n * 2, m * 3],
        ),
        (n, m),
    )
    kept = {"relax.reshape": lambda _, call: call, "relax.broadcast_to": lambda _, call: call}
    after = legalize(before, {**RULES, **kept})
    tvm.ir.assert_structural_equal(after, expected, map_free_vars=True)


def test_constant_sizes_too():
    after = legalize(module(lambda x: op.tile(x, [2, 3]), (4, 5)), RULES)
    assert "T_tile" not in after.script()


@pytest.mark.parametrize("repeats", REPEATS, ids=str)
def test_values(repeats):
    n, m = (tir.Var(name, "int64") for name in "nm")
    model = quake_tvm.compile(module(lambda x: op.tile(x, repeats), (n, 1, m)))
    for shape in [(2, 1, 5), (1, 1, 1), (3, 1, 33), (7, 1, 16), (0, 1, 4), (4, 1, 0)]:
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        np.testing.assert_array_equal(model.run(x)[0], np.tile(x, repeats))
