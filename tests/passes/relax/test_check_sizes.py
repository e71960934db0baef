"""Which tensors the pass holds, and that they are released if sizes fit."""

import numpy as np
import pytest
from tvm import relax, tirx

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.kernels.size_check import HELD
from quake_tvm.passes.relax.check_sizes import SHAPED, WINDOWED, CheckSizes
from quake_tvm.passes.relax.release_held import ReleaseHeld
from tests.helpers import module

N = tirx.Var("n", "int64")


def held(formula, *shapes):
    """The number of tensors that the pass holds. Checks that the release leaves none held."""
    mod = CheckSizes({**SHAPED, **WINDOWED})(module(formula, *shapes))
    assert HELD not in ReleaseHeld()(mod).script()
    return mod.script().count(f'"{HELD}"')


def test_sizes_that_may_not_fit():
    assert held(lambda x: relax.op.reshape(x, (-1, 4)), (N, 3)) == 1
    assert held(lambda x: relax.op.topk(x, 3, ret_type="values"), (2, N)) == 1
    assert held(lambda x: relax.op.nn.pad(x, [2, 1], "reflect"), (N,)) == 1
    assert held(lambda x: relax.op.nn.max_pool1d(x, 2), (1, 2, N)) == 1
    assert held(lambda x, w: relax.op.nn.conv1d(x, w, groups=2), (1, N, 9), (4, 2, 3)) == 1
    assert held(lambda x, w: relax.op.nn.conv1d(x, w, groups=2), (1, 4, 9), (N, 2, 3)) == 1


def test_sizes_that_fit():
    same = module(lambda x: relax.op.reshape(x, (-1, 4)), (N, 8))
    assert CheckSizes(SHAPED)(same).same_as(same)
    assert held(lambda x: relax.op.reshape(x, (N, 2, 4)), (N, 8)) == 0
    assert held(lambda x: relax.op.topk(x, 3, ret_type="values"), (N, 5)) == 0
    assert held(lambda x: relax.op.nn.pad(x, [2, 1], "constant"), (N,)) == 0
    assert held(lambda x: relax.op.nn.max_pool1d(x, 3, padding=1), (1, 2, N)) == 0
    assert held(lambda x, w: relax.op.nn.conv1d(x, w), (1, 2, 9), (N, 2, 3)) == 0


def test_groups_that_do_not_divide_the_filters():
    shapes = (1, 4, 5, 5), (N, 2, 3, 3)
    model = quake_tvm.compile(module(lambda x, w: relax.op.nn.conv2d(x, w, groups=2), *shapes))
    x = np.ones(shapes[0], np.float32)
    for filters in (0, 2, 6):
        (y,) = model.run([x, np.ones((filters, 2, 3, 3), np.float32)])
        np.testing.assert_array_equal(y, np.full((1, filters, 3, 3), 18, np.float32))
    for filters in (1, 3):
        with pytest.raises(QuakeError, match="the groups do not divide the filters"):
            model.run([x, np.ones((filters, 2, 3, 3), np.float32)])


def test_order():
    mod = CheckSizes(SHAPED)(module(lambda x: relax.op.reshape(x, (-1, 4)), (N, 3)))
    names = [
        str(b.value.op.name) for b in mod["main"].body.blocks[0].bindings if hasattr(b.value, "op")
    ]
    assert names == ["quake_tvm.index", HELD, "relax.reshape"]
