"""Which index checks the pass inserts, and which it does not."""

import numpy as np
import pytest
import tvm_ffi
from tvm import relax

from quake_tvm.errors import QuakeError
from quake_tvm.kernels.index_check import NAME
from quake_tvm.passes.relax.check_indices import CheckIndices
from quake_tvm.passes.relax.graph import op_name


def module(formula, *shapes):
    """``main`` of float tensors x0, x1, ... of these shapes and three int64 index tensors i."""
    builder = relax.BlockBuilder()
    xs = [relax.Var(f"x{k}", relax.TensorType(s)) for k, s in enumerate(shapes)]
    i = relax.Var("i", relax.TensorType((3,), "int64"))
    with builder.function("main", [*xs, i]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple(formula(builder, *xs, i)))
        builder.emit_func_output(result)
    return builder.get()


def checks(mod):
    found = []
    relax.analysis.post_order_visit(mod["main"], lambda e: found.append(op_name(e)))
    return found.count(NAME)


def test_operators_with_the_same_indices_and_extents_share_a_check():
    mod = module(
        lambda b, x, y, z, i: [b.emit(relax.op.take(t, i, 0)) for t in (x, y, z)],
        *((10, 4), (10, 8), (11, 4)),
    )
    checked = CheckIndices()(mod)
    assert checks(checked) == 2
    assert tvm_ffi.structural_equal(CheckIndices()(checked), checked)


def test_constants_need_none():
    index = relax.const(np.int64([0, 9]))
    mod = module(lambda b, x, i: [b.emit(relax.op.take(x, index, 0))], (10, 4))
    assert checks(CheckIndices()(mod)) == 0


@pytest.mark.parametrize("wrong", [-1, 10])
def test_constants_outside_are_refused(wrong):
    index = relax.const(np.int64([0, wrong]))
    mod = module(lambda b, x, i: [b.emit(relax.op.take(x, index, 0))], (10, 4))
    with pytest.raises(QuakeError, match=f"take: .* {wrong} is not"):
        CheckIndices()(mod)


def test_other_modes_of_take_have_their_own_places():
    mod = module(
        lambda b, x, i: [b.emit(relax.op.take(x, i, 0, mode=m)) for m in ("clip", "wrap", "nan")],
        (10, 4),
    )
    assert checks(CheckIndices()(mod)) == 2


def test_modules_without_indices_stay():
    mod = module(lambda b, x, i: [b.emit(relax.op.exp(x))], (10, 4))
    assert CheckIndices()(mod).same_as(mod)
