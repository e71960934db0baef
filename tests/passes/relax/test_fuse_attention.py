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


def test_a_factor_that_repeats_q_stays():
    def formula(q, k, v):
        return block(once(q * relax.const(np.full((2, 1, 1, 1), 0.5, "float32"))), k, v)

    (call,) = (
        e
        for e in calls(fused(module(formula, (1, *BSHD[1:]), BSHD, BSHD)))
        if op_name(e) == ATTENTION
    )
    assert [int(n) for n in call.args[0].ty.shape] == list(BSHD)


def used_twice(q, k, v):
    scores = once(op.matmul(heads(q), once(op.permute_dims(k, [0, 2, 3, 1]))))
    weights = once(nn.softmax(scores, axis=-1))
    return op.matmul(weights, heads(v)), weights


def negative(q, k, v):
    return block(q, k, v, scale=-8.0)


def other_axis(q, k, v):
    scores = once(op.matmul(heads(q), once(op.permute_dims(k, [0, 2, 3, 1]))))
    return op.matmul(once(nn.softmax(scores, axis=2)), heads(v))


def repeated_queries(q, k, v):
    q = once(op.expand_dims(once(op.strided_slice(heads(q), [1], [0], [2])), 2))
    q = once(op.reshape(once(op.broadcast_to(q, (2, 2, 2, 24, 32))), (2, 4, 24, 32)))
    scores = once(op.matmul(q, once(op.permute_dims(k, [0, 2, 3, 1]))))
    return op.matmul(once(nn.softmax(scores, axis=-1)), heads(v))


@pytest.mark.parametrize("formula", [used_twice, negative, other_axis, repeated_queries])
def test_others_stay(formula):
    names = [op_name(call) for call in calls(fused(module(formula, BSHD, BSHD, BSHD)))]
    assert ATTENTION not in names
    assert names.count("relax.matmul") == 2


def one_axis_of_heads(q, k, v, mask=None):
    """Batch and heads are one axis, as in torch's own layers: (position, head, feature) is kept."""
    q, k, v = (once(op.permute_dims(x, [1, 0, 2])) for x in (q, k, v))
    scores = once(op.matmul(once(q * c(0.5)), once(op.permute_dims(k, [0, 2, 1]))))
    scores = scores if mask is None else once(op.add(scores, mask))
    weights = once(nn.softmax(scores, axis=-1))
    return op.permute_dims(once(op.matmul(weights, v)), [1, 0, 2])


def test_three_dimensions():
    found = calls(fused(module(one_axis_of_heads, (24, 8, 32), (9, 8, 32), (9, 8, 48), (8, 24, 9))))
    assert sorted(map(op_name, found)) == [ATTENTION, *["relax.reshape"] * 4]
    (call,) = (e for e in found if op_name(e) == ATTENTION)
    assert [o.axes for o in operands_of(call)] == [(1, 2, 0, 3)] * 4
    assert [int(n) for n in call.ty.shape] == [24, 1, 8, 48]


def test_heads_split_behind_their_transpose():
    """(position, batch*head, feature), transposed, and then split into batch and head."""

    def formula(q, k, v):
        q, k, v = (once(op.permute_dims(x, [1, 0, 2])) for x in (q, k, v))
        q, k, v = (once(op.reshape(x, (2, 4, -1, 32))) for x in (q, k, v))
        scores = once(op.matmul(q, once(op.permute_dims(k, [0, 1, 3, 2]))))
        return op.matmul(once(nn.softmax(scores, axis=-1)), v)

    found = calls(fused(module(formula, *[(24, 8, 32)] * 3)))
    assert sorted(map(op_name, found)) == [ATTENTION, *["relax.reshape"] * 3]
    (call,) = (e for e in found if op_name(e) == ATTENTION)
    assert [o.axes for o in operands_of(call)] == [(1, 2, 0, 3)] * 3 + [(0, 1, 2, 3)]


def safe(x):
    empty = once(op.equal(once(op.max(x, -1, keepdims=True)), c(-np.inf)))
    return op.where(empty, c(0.0), once(nn.softmax(x, axis=-1)))


def test_rows_that_are_masked_give_zero():
    def formula(q, k, v, mask):
        scores = once(op.matmul(heads(q), once(op.permute_dims(k, [0, 2, 3, 1]))))
        return op.matmul(once(safe(once(op.add(scores, mask)))), heads(v))

    mod = module(formula, BSHD, BSHD, BSHD, (24, 24))
    (call,) = calls(fused(mod))
    assert float(call.attrs["empty"]) == 0.0
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=BSHD).astype(np.float32) for _ in range(3)]
    mask = np.zeros((24, 24), np.float32)
    mask[3], mask[5, 5] = -np.inf, np.nan
    (result,) = quake_tvm.compile(mod, method="quake2").run(*arrays, mask)
    np.testing.assert_array_equal(result[:, :, 3], 0)
    assert np.isnan(result[:, :, 5]).all()
    assert np.isfinite(np.delete(result, 5, axis=2)).all()


def var(name):
    return tvm.tirx.Var(name, "int64")


def test_symbolic_extents():
    b, h, m, n = map(var, "bhmn")
    (call,) = calls(fused(module(block, (b, m, h, 32), (b, n, h, 32), (b, n, h, 48), (b, 1, 1, n))))
    assert op_name(call) == ATTENTION
    tvm.ir.assert_structural_equal(call.ty.shape, relax.ShapeExpr([b, m, h, 48]))


def test_the_tiles_are_asked_for_with_the_known_sizes():
    asked, n = [], var("n")

    def tiles(*sizes):
        asked.append(sizes)
        return TILES

    mod = module(block, (1, 24, 4, 32), (1, n, 4, 32), (1, n, 4, 32))
    FuseAttention(tiles)(quake.recognize(mod, Options.parse(method="quake2")))
    assert asked == [(24, None, 32)]


def stays(*shapes):
    names = [op_name(call) for call in calls(fused(module(block, *shapes)))]
    return ATTENTION not in names


def test_heads_that_may_differ_stay():
    b, c, n = map(var, "bcn")
    assert stays((b, n, 4, 32), (c, n, 4, 32), (c, n, 4, 32))


def test_a_symbolic_depth_or_width_stays():
    n, d = map(var, "nd")
    assert stays((1, n, 4, d), (1, n, 4, d), (1, n, 4, 32))
    assert stays((1, n, 4, 32), (1, n, 4, 32), (1, n, 4, d))


@pytest.mark.parametrize("keys", [1, 7, 65537])
def test_any_number_of_keys(keys):
    assert not stays((1, 3, 1, 32), (1, keys, 1, 32), (1, keys, 1, 32))


def split(batch, length):
    """Attention of a model of one layer: the heads are axes of the features."""
    rng = np.random.default_rng(0)
    weights = [relax.const(rng.normal(size=(64, 64)).astype(np.float32) / 8) for _ in range(3)]

    def formula(x, mask):
        q, k, v = (once(op.reshape(once(op.matmul(x, w)), (batch, length, 2, 32))) for w in weights)
        result = once(block(q, k, v, mask))
        return op.reshape(result, (batch, length, 64))

    return module(formula, (batch, length, 64), (batch, 1, 1, length))


def test_a_model_of_any_size_has_the_bits_of_the_model_of_this_size():
    dynamic = quake_tvm.compile(split(var("b"), var("n")), method="quake2")
    assert dynamic.report.kernels["quake_attention"] == "attention"
    (site,) = dynamic.report.sites
    assert (site.operator, site.shape, site.schedule) == ("softmax", "bx2xnxn", "attention")
    rng = np.random.default_rng(0)
    for batch, length in [(1, 1), (2, 7), (3, 37), (1, 130)]:
        x = rng.normal(size=(batch, length, 64)).astype(np.float32)
        mask = np.where(rng.random((batch, 1, 1, length)) < 0.3, -3.4e38, 0).astype(np.float32)
        static = quake_tvm.compile(split(batch, length), method="quake2")
        np.testing.assert_array_equal(dynamic.run(x, mask)[0], static.run(x, mask)[0])


def test_a_fused_factor_does_not_depend_on_whether_the_size_is_known():
    def formula(q, k, v):
        return block(once(q * c(0.3)), k, v)

    n, rng = var("n"), np.random.default_rng(0)
    dynamic = quake_tvm.compile(module(formula, *[(1, n, 2, 32)] * 3), method="quake3")
    arrays = [rng.normal(size=(1, 5, 2, 32)).astype(np.float32) for _ in range(3)]
    static = quake_tvm.compile(module(formula, *[(1, 5, 2, 32)] * 3), method="quake3")
    np.testing.assert_array_equal(dynamic.run(*arrays)[0], static.run(*arrays)[0])


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
