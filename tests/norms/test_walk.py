"""Chains between two norms: what is proven holds for what is seen, and the typical size is near."""

import numpy as np
import pytest
from tvm import relax

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.tvm_version import tir
from tests.helpers import c, module, once

RNG = np.random.default_rng(0)
D, INNER, HEADS, LENGTH = 24, 40, 3, 5
op, nn = relax.op, relax.op.nn


def k(*shape):
    """A constant of random numbers."""
    return relax.const(RNG.normal(size=shape).astype(np.float32))


def norm(x, width=D, rms=False):
    if rms:
        return once(nn.rms_norm(x, k(width), axes=[-1], epsilon=1e-6))
    return once(nn.layer_norm(x, k(width), k(width), axes=[-1], epsilon=1e-6))


def linear(x, inner=D, outer=D):
    return once(op.matmul(x, k(inner, outer)) + k(outer))


def gelu(x):
    return x * (c(0.5) * (c(1) + op.erf(x / c(2**0.5))))


def silu(x):
    return x * op.sigmoid(x)


def split(x, batch, heads=HEADS):
    return op.permute_dims(op.reshape(x, (batch, LENGTH, heads, D // HEADS)), [0, 2, 1, 3])


def attend(q, keys, v, batch):
    scores = op.matmul(q, op.permute_dims(keys, [0, 1, 3, 2])) * c(0.1)
    mixed = op.permute_dims(op.matmul(nn.softmax(scores, -1), v), [0, 2, 1, 3])
    return op.reshape(mixed, (batch, LENGTH, D))


def attention(x, batch):
    q, keys, v = (split(linear(x), batch) for _ in range(3))
    return linear(attend(q, keys, v, batch))


def attention_of_one_product(x, batch):
    parts = op.split(linear(x, D, 3 * D), 3, axis=-1)
    parts = once(parts)
    q, keys, v = (split(once(relax.TupleGetItem(parts, n)), batch) for n in range(3))
    return linear(attend(q, keys, v, batch))


def attention_of_stacked_heads(x, batch):
    """The three stand along an axis of their own, from which each is taken."""
    whole = op.reshape(linear(x, D, 3 * D), (batch, LENGTH, 3, HEADS, D // HEADS))
    whole = once(op.permute_dims(whole, [2, 0, 3, 1, 4]))
    q, keys, v = (op.take(whole, relax.const(n, "int64"), axis=0) for n in range(3))
    return linear(attend(q, keys, v, batch))


def attention_of_repeated_keys(x, batch):
    def repeated(t):
        shape = (batch, 1, HEADS, LENGTH, D // HEADS)
        wide = op.broadcast_to(op.expand_dims(t, 2), shape)
        return op.reshape(wide, (batch, HEADS, LENGTH, D // HEADS))

    q = split(linear(x), batch)
    keys, v = (repeated(split(linear(x, D, D // HEADS), batch, 1)) for _ in range(2))
    return linear(attend(q, keys, v, batch))


def swiglu(x):
    return linear(silu(linear(x, D, INNER)) * linear(x, D, INNER), INNER)


def with_a_token(x, batch):
    first = op.broadcast_to(k(1, 1, D), (batch, 1, D))
    return op.concat([first, x], axis=1) + k(1, LENGTH + 1, D)


CHAINS = {
    "linear": lambda x, _: linear(x),
    "no_bias": lambda x, _: op.matmul(x, k(D, D)),
    "residual": lambda x, _: x + linear(x),
    "difference": lambda x, _: k(D) - linear(x) - x,
    "gelu": lambda x, _: linear(gelu(linear(x, D, INNER)), INNER),
    "tanh": lambda x, _: linear(op.tanh(linear(x, D, INNER)), INNER),
    "sigmoid": lambda x, _: linear(op.sigmoid(linear(x, D, INNER)), INNER),
    "relu": lambda x, _: linear(nn.relu(linear(x, D, INNER)), INNER) / c(3),
    "swiglu": lambda x, _: x + swiglu(x),
    "attention": attention,
    "one_product": attention_of_one_product,
    "stacked_heads": attention_of_stacked_heads,
    "repeated_keys": attention_of_repeated_keys,
    "residual_of_attention": lambda x, b: x + attention(x, b) * k(D),
    "positions": lambda x, _: x + k(LENGTH, D),
    "a_token": with_a_token,
    "one_row": lambda x, _: linear(op.take(x, relax.const(0, "int64"), axis=1)),
    "first_rows": lambda x, _: op.strided_slice(linear(x), [1, 2], [0, 0], [2, D]),
    "norm_of_heads": lambda x, b: split(linear(x), b),
    "transposed": lambda x, _: op.permute_dims(linear(x), [0, 2, 1]),
    "table": lambda x, _: op.negative(k(D)) * x,
}


@pytest.fixture(scope="module", params=["static", "dynamic"])
def audit(request):
    batch = 2 if request.param == "static" else tir.Var("batch", "int64")

    def all_chains(x):
        x = norm(x)
        ends = (once(chain(x, batch)) for chain in CHAINS.values())
        return tuple(norm(end, int(end.ty.shape[-1]), n % 2 == 0) for n, end in enumerate(ends))

    mod = module(all_chains, (batch, LENGTH, D))
    calls = [{"x0": RNG.normal(size=(2, LENGTH, D)).astype(np.float32)} for _ in range(30)]
    return quake_tvm.norm_scales(mod, inputs=calls)


@pytest.mark.parametrize("name", CHAINS)
def test_chain(audit, name):
    found = audit.norms[1 + list(CHAINS).index(name)]
    assert found.seen <= found.proven < 40 * found.seen
    assert 0.25 * found.seen < found.typical < 2 * found.seen


def unknown_weight(x, w):
    return norm(op.matmul(norm(x), w))


def product_of_rows(x, _):
    return norm(op.matmul(op.permute_dims(norm(x), [0, 2, 1]), norm(x)))


def half_a_softmax(x, _):
    """Weights whose sum is not 1."""
    weights = nn.softmax(op.matmul(norm(x), k(D, LENGTH)), -1) * c(0.5)
    return norm(op.matmul(weights, norm(x)))


def softmax_along_another_axis(x, _):
    weights = nn.softmax(op.matmul(norm(x), k(D, LENGTH)), 1)
    return norm(op.matmul(weights, norm(x)))


def exponential(x, _):
    return norm(op.exp(norm(x)))


@pytest.mark.parametrize(
    "formula",
    [
        unknown_weight,
        product_of_rows,
        half_a_softmax,
        softmax_along_another_axis,
        exponential,
    ],
    ids=lambda f: f.__name__,
)
def test_nothing_is_proven_of_what_is_not_known(formula):
    found = quake_tvm.norm_scales(module(formula, (2, LENGTH, D), (D, D)))
    assert found.norms[-1].proven is None
    assert found.survives == "not proven"


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_nothing_is_known_of_weights_that_are_not_finite(wrong):
    weights = np.full((D, D), wrong, np.float32)
    (found,) = quake_tvm.norm_scales(
        module(lambda x: norm(once(op.matmul(x, relax.const(weights)))), (2, D))
    ).norms
    assert (found.claim, found.proven, found.typical) == ("unknown", None, None)


@pytest.mark.parametrize("size", [0.0, 1e-40, 1e-3])
def test_short_rows_need_no_scale(size):
    weights = np.full((D, D), size, np.float32)
    _, last = quake_tvm.norm_scales(
        module(lambda x: norm(once(op.matmul(norm(x), relax.const(weights)))), (2, D))
    ).norms
    assert (last.claim, last.scale) == ("proven", 1.0)


def test_rows_of_nan_are_no_typical_inputs():
    rows = [{"x0": np.full((2, D), np.nan, np.float32)}]
    with pytest.raises(QuakeError, match="give typical inputs"):
        quake_tvm.norm_scales(module(norm, (2, D)), inputs=rows)


def test_an_input_has_a_typical_size_and_no_proof():
    (found,) = quake_tvm.norm_scales(module(norm, (2, LENGTH, D))).norms
    assert found.proven is None
    assert found.typical == pytest.approx(D**0.5)


def test_patches_of_an_image():
    def formula(image):
        patches = nn.conv2d(image, k(D, 3, 4, 4), strides=(4, 4)) + k(1, D, 1, 1)
        return norm(op.permute_dims(op.reshape(patches, (2, D, 9)), [0, 2, 1]))

    images = [{"x0": RNG.normal(size=(2, 3, 12, 12)).astype(np.float32)} for _ in range(5)]
    (found,) = quake_tvm.norm_scales(module(formula, (2, 3, 12, 12)), inputs=images).norms
    assert found.proven is None
    assert 0.5 * found.seen < found.typical < found.seen
