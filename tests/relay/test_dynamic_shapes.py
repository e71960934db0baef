"""Models of any length on Relay's virtual machine: one build, at several sizes."""

import math

import numpy as np
import pytest
import tvm
from tvm import relay

import quake_tvm
from quake_tvm import target
from quake_tvm.passes.relay.graph import Graph
from tests.relay.modules import run_vm

WIDTH, HEADS = 16, 2


def _weights(name: str) -> np.ndarray:
    return np.random.default_rng(len(name)).normal(0, WIDTH**-0.5, (WIDTH, WIDTH))


def _layer(x: relay.Expr) -> relay.Expr:
    """Attention and a GELU over rows of any number."""

    def dense(x: relay.Expr, name: str) -> relay.Expr:
        return relay.nn.dense(x, relay.const(_weights(name).astype("float32")))

    def heads(x: relay.Expr) -> relay.Expr:
        split = relay.reshape(x, (-1, HEADS, WIDTH // HEADS))
        return relay.transpose(split, (1, 0, 2))

    q, k, v = (heads(dense(x, name)) for name in ("q", "ke", "val"))
    p = relay.nn.softmax(relay.nn.batch_matmul(q, k), -1)
    rows = relay.transpose(relay.nn.batch_matmul(p, v, transpose_b=False), (1, 0, 2))
    z = dense(relay.reshape(rows, (-1, WIDTH)), "last")
    half, root = relay.const(np.float32(0.5)), relay.const(np.float32(0.5**0.5))
    return z * (half + half * relay.erf(z * root))


def _exact(x: np.ndarray) -> np.ndarray:
    """The same in float64."""
    x = x.astype(np.float64)
    q, k, v = (
        (x @ _weights(name).astype(np.float32).T).reshape(-1, HEADS, WIDTH // HEADS).swapaxes(0, 1)
        for name in ("q", "ke", "val")
    )
    scores = q @ k.swapaxes(1, 2)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    rows = (p / p.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(-1, WIDTH)
    z = rows @ _weights("last").astype(np.float32).T
    erf = np.array([math.erf(t) for t in (z * 0.5**0.5).ravel()]).reshape(z.shape)
    return z * (0.5 + 0.5 * erf)


@pytest.mark.slow
def test_a_transformer_layer_of_any_length() -> None:
    x = relay.var("x", shape=(relay.Any(), WIDTH), dtype="float32")
    mod = tvm.IRModule.from_expr(relay.Function([x], _layer(x)))
    with quake_tvm.PassContext(opt_level=3, method="quake5") as context:
        executable = relay.vm.compile(mod, target())
    assert sorted(site.operator for site in context.report.sites) == ["gelu", "softmax"]
    for rows in (1, 7, 33):
        given = np.random.default_rng(rows).normal(size=(rows, WIDTH)).astype(np.float32)
        np.testing.assert_allclose(run_vm(executable, given), _exact(given), rtol=1e-4, atol=1e-5)


def test_images_of_any_size() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)

    def built(shape: tuple) -> object:
        x = relay.var("x", shape=shape, dtype="float32")
        y = relay.nn.conv2d(x, relay.const(weights), padding=1, channels=4, kernel_size=(3, 3))
        mod = tvm.IRModule.from_expr(relay.Function([x], y * relay.sigmoid(y)))
        with quake_tvm.PassContext(opt_level=3, method="quake2") as context:
            executable = relay.vm.compile(mod, target())
        assert [site.operator for site in context.report.sites] == ["silu"]
        return executable

    executable = built((1, 3, relay.Any(), relay.Any()))
    for height, width in ((5, 7), (16, 12)):
        x = np.random.default_rng(1).normal(size=(1, 3, height, width)).astype(np.float32)
        wanted = run_vm(built(x.shape), x)
        np.testing.assert_allclose(run_vm(executable, x), wanted, rtol=1e-5, atol=1e-5)


def test_unknown_extents_are_equal_only_behind_steps() -> None:
    x = relay.var("x", shape=(relay.Any(), 4))
    extents = relay.var("extents", shape=(2,), dtype="int64")
    results = relay.exp(x) + relay.clip(x, 0, 1), relay.repeat(x, 2, 0), relay.ones(extents, "int8")
    function = relay.Function([x, extents], relay.Tuple(results))
    function = relay.transform.InferType()(tvm.IRModule.from_expr(function))["main"]
    graph = Graph(function)
    step, repeated, ones = map(graph.shape, function.body.fields)
    assert step == graph.shape(function.params[0])
    assert repeated != step
    assert 2 not in ones
