"""Which tensors the pass holds, and that they are released if sizes fit."""

from tvm import relax, tirx

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


def test_sizes_that_fit():
    same = module(lambda x: relax.op.reshape(x, (-1, 4)), (N, 8))
    assert CheckSizes(SHAPED)(same).same_as(same)
    assert held(lambda x: relax.op.reshape(x, (N, 2, 4)), (N, 8)) == 0
    assert held(lambda x: relax.op.topk(x, 3, ret_type="values"), (N, 5)) == 0
    assert held(lambda x: relax.op.nn.pad(x, [2, 1], "constant"), (N,)) == 0
    assert held(lambda x: relax.op.nn.max_pool1d(x, 3, padding=1), (1, 2, N)) == 0


def test_order():
    mod = CheckSizes(SHAPED)(module(lambda x: relax.op.reshape(x, (-1, 4)), (N, 3)))
    names = [
        str(b.value.op.name) for b in mod["main"].body.blocks[0].bindings if hasattr(b.value, "op")
    ]
    assert names == ["quake_tvm.index", HELD, "relax.reshape"]
