"""Two products around a lowered softmax become one attention. Others are unchanged."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.kernels.register_tile import Tile
from quake_tvm.options import Options
from quake_tvm.passes import quake
from quake_tvm.passes.relax.fuse_attention import ATTENTION, FuseAttention, operands_of
from quake_tvm.passes.relax.graph import op_name
from tests.helpers import c, module, once, run

nn, op = relax.op.nn, relax.op
BSHD = (2, 24, 4, 32)
TILES = (Tile(8, 1, 16), Tile(8, 2, 16))


def heads(x):
    return once(op.permute_dims(x, [0, 2, 1, 3]))


def block(q, k, v, mask=None, scale=8.0):
    """Attention as importers write it: transposes split and merge the heads."""
    scores = once(op.matmul(heads(q), once(op.permute_dims(k, [0, 2, 3, 1]))))
    scores = once(op.divide(scores, c(scale)))
    if mask is not None:
        scores = once(op.add(scores, mask))
    weights = once(nn.softmax(scores, axis=-1))
    return op.permute_dims(once(op.matmul(weights, heads(v))), [0, 2, 1, 3])


def fused(mod):
    mod = quake.recognize(mod, Options.parse(method="quake2"))
    return FuseAttention(lambda rows, keys, features: TILES)(mod)


def calls(mod):
    found = []
    relax.analysis.post_order_visit(mod["main"], lambda e: found.append(e) if op_name(e) else None)
    return found


def test_everything_goes_into_one_operator():
    (call,) = calls(fused(module(block, BSHD, BSHD, BSHD)))
    assert op_name(call) == ATTENTION
    assert [o.axes for o in operands_of(call)] == [(0, 2, 1, 3)] * 4
    assert float(call.attrs["scale"]) == pytest.approx(1 / 8)
    assert [int(n) for n in call.ty.shape] == list(BSHD)


def test_factors_of_q_and_k_are_multiplied():
    def formula(q, k, v):
        return block(once(q * c(0.5)), once(k * c(3.0)), v)

    (call,) = calls(fused(module(formula, BSHD, BSHD, BSHD)))
    assert float(call.attrs["scale"]) == pytest.approx(1.5 / 8)


def used_twice(q, k, v):
    scores = once(op.matmul(heads(q), once(op.permute_dims(k, [0, 2, 3, 1]))))
    weights = once(nn.softmax(scores, axis=-1))
    return op.matmul(weights, heads(v)), weights


def negative(q, k, v):
    return block(q, k, v, scale=-8.0)


def other_axis(q, k, v):
    scores = once(op.matmul(heads(q), once(op.permute_dims(k, [0, 2, 3, 1]))))
    return op.matmul(once(nn.softmax(scores, axis=2)), heads(v))


@pytest.mark.parametrize("formula", [used_twice, negative, other_axis])
def test_others_stay(formula):
    names = [op_name(call) for call in calls(fused(module(formula, BSHD, BSHD, BSHD)))]
    assert ATTENTION not in names
    assert names.count("relax.matmul") == 2


def test_dynamic_shapes_stay():
    n = tvm.tirx.Var("n", "int64")
    shape = (2, n, 4, 32)
    names = [op_name(call) for call in calls(fused(module(block, shape, shape, shape)))]
    assert ATTENTION not in names


@pytest.mark.parametrize(("keys", "is_fused"), [(65536, True), (65537, False)])
def test_the_last_block_of_a_long_row_fills_a_tile_or_it_stays(keys, is_fused):
    q, k = (1, 8, 1, 32), (1, keys, 1, 32)
    names = {op_name(call) for call in calls(fused(module(block, q, k, k)))}
    assert (ATTENTION in names) == is_fused


@pytest.mark.parametrize("masked", [False, True])
def test_compiled_model(masked):
    shapes = [BSHD] * 3 + [(2, 1, 1, 24)] * masked
    mod = module(block, *shapes)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in shapes]
    model = quake_tvm.compile(mod, method="quake5")
    (result,) = model.run(*arrays)
    np.testing.assert_allclose(result, run(mod, *arrays), rtol=1e-4, atol=1e-5)
    assert "attention" in model.report.kernels.values()
    (site,) = model.report.sites
    assert site.operator == "softmax"


def test_exact_softmax_is_left_alone():
    model = quake_tvm.compile(module(block, BSHD, BSHD, BSHD), method="exact")
    assert "attention" not in model.report.kernels.values()
