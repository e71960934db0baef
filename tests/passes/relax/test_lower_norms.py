"""float32 norms along the last axis, or of a sample's channels, become rows. TVM lowers others."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.graph import Graph, op_name
from quake_tvm.passes.relax.lower_norms import LowerNorms
from quake_tvm.tvm_version import tir
from tests.helpers import module, run

RNG = np.random.default_rng(0)
X = (2, 6, 5, 8)
nn = relax.op.nn


def weights(count, dtype="float32"):
    values = np.random.default_rng(1).normal(size=(2, count)).astype(dtype)
    return [relax.const(v, dtype) for v in values]


def operators(mod):
    return [op_name(value) for value in Graph(mod["main"]).values.values()]


def layer_norm(x, **options):
    return nn.layer_norm(x, *weights(8), **{"axes": [-1], **options})


def rms_norm(x, axes=-1):
    return nn.rms_norm(x, weights(8)[0], axes=axes)


def group_norm(x, groups=3, **options):
    return nn.group_norm(x, *weights(6), groups, **{"channel_axis": 1, "axes": [2, 3], **options})


def instance_norm(x, **options):
    return nn.instance_norm(x, *weights(6), **{"channel_axis": 1, "axes": [2, 3], **options})


TAKEN = {
    "layer_norm": layer_norm,
    "layer_norm_axis_3": lambda x: layer_norm(x, axes=[3]),
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "group_norm_one": lambda x: group_norm(x, 1),
    "instance_norm": instance_norm,
}
LEFT = {
    "another_axis": lambda x: nn.layer_norm(x, *weights(6), axes=[1]),
}


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name):
    mod = module(TAKEN[name], X)
    after = LowerNorms()(mod)
    assert "relax.call_tir" in operators(after)
    assert not {o for o in operators(after) if o.endswith("_norm")}
    x = RNG.normal(size=X).astype(np.float32)
    np.testing.assert_allclose(run(after, x), run(mod, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_group_norm_without_factor_or_shift(center, scale):
    """TVM's own legalization ignores these attributes."""
    x = RNG.normal(size=X).astype(np.float32)
    after = LowerNorms()(module(lambda x: group_norm(x, center=center, scale=scale), X))
    rows = x.astype(np.float64).reshape(2, 3, -1)
    normal = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + 1e-5)
    gamma, beta = (w.value.numpy().reshape(6, 1, 1) for w in weights(6))
    expected = normal.reshape(X) * (gamma if scale else 1) + (beta if center else 0)
    np.testing.assert_allclose(run(after, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LEFT)
def test_left(name):
    mod = module(LEFT[name], X)
    tvm.ir.assert_structural_equal(LowerNorms()(mod), mod)
    x = RNG.normal(size=X).astype(np.float32)
    (y,) = quake_tvm.compile(mod).run(x)
    np.testing.assert_allclose(y, run(mod, x), rtol=1e-4, atol=1e-5)


def test_float16_is_left():
    dtype = "float16"
    mod = module(lambda x: nn.layer_norm(x, *weights(8, dtype), axes=[-1]), X, dtype=dtype)
    tvm.ir.assert_structural_equal(LowerNorms()(mod), mod)
    x = RNG.normal(size=X).astype(dtype)
    (y,) = quake_tvm.compile(mod).run(x)
    np.testing.assert_allclose(y, run(mod, x), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("formula", [layer_norm, rms_norm, group_norm, instance_norm])
def test_unknown_batch(formula):
    mod = module(formula, (tir.Var("n", "int64"), *X[1:]))
    assert not {o for o in operators(LowerNorms()(mod)) if o.endswith("_norm")}
    static = quake_tvm.compile(module(formula, X))
    dynamic, x = quake_tvm.compile(mod), RNG.normal(size=X).astype(np.float32)
    np.testing.assert_array_equal(dynamic.run(x)[0], static.run(x)[0])


def test_the_only_sample_may_be_averaged():
    """As torch's instance_norm does, with the batch in the channels."""
    x = RNG.normal(size=(1, *X[1:])).astype(np.float32)
    mod = module(lambda x: instance_norm(x, axes=[0, 2, 3]), x.shape)
    assert "relax.call_tir" in operators(LowerNorms()(mod))
    wanted = module(instance_norm, x.shape)
    np.testing.assert_array_equal(*(quake_tvm.compile(m).run(x)[0] for m in (mod, wanted)))


@pytest.mark.parametrize("formula", [group_norm, instance_norm])
def test_unknown_pixels_have_the_bits_of_known_ones(formula):
    """And no kernel copies: the rows are a view."""
    n, h, w = (tir.Var(name, "int64") for name in "nhw")
    dynamic = quake_tvm.compile(module(formula, (n, 6, h, w)))
    assert sorted(dynamic.report.kernels) == ["fused_multiply_add", "layer_norm"]
    for shape in [X, (1, 6, 1, 1), (2, 6, 3, 7), (1, 6, 0, 3)]:
        x = RNG.normal(size=shape).astype(np.float32)
        (y,) = quake_tvm.compile(module(formula, shape)).run(x)
        np.testing.assert_array_equal(dynamic.run(x)[0], y)
