"""Small models: several sites, two sites in one kernel, a site that only a kernel has."""

import numpy as np
import tvm
from tvm import relax
from tvm.relax.op import matmul, nn

from tests.helpers import module, once


def weights(*shape: int) -> relax.Expr:
    generator = np.random.default_rng(shape[0])
    return relax.const(generator.normal(size=shape).astype(np.float32) / shape[0] ** 0.5)


def network() -> tvm.IRModule:
    """softmax and GELU in turn, twice; then logits."""

    def formula(x):
        for _ in range(2):
            x = once(nn.softmax(once(matmul(x, weights(32, 48)))))
            x = once(
                nn.gelu(
                    once(matmul(once(relax.op.multiply(x, relax.const(20.0))), weights(48, 32)))
                )
            )
        return once(matmul(x, weights(32, 10)))

    return module(formula, (4, 32))


def gated() -> tvm.IRModule:
    """Two sites that are fused into one kernel."""

    def formula(x):
        y = once(matmul(x, weights(32, 32)))
        return once(relax.op.multiply(once(relax.op.tanh(y)), once(relax.op.sigmoid(y))))

    return module(formula, (4, 32))


def hidden() -> tvm.IRModule:
    """Attention as one operator of TVM, and a GELU."""

    def formula(q, k, v):
        return once(nn.gelu(once(nn.attention(q, k, v))))

    return module(formula, *[(1, 8, 2, 16)] * 3)


def inputs(mod: tvm.IRModule, count: int, seed: int = 0) -> list[list[np.ndarray]]:
    """Random arrays for ``count`` calls."""
    generator = np.random.default_rng(seed)
    shapes = [tuple(int(n) for n in p.ty.shape) for p in mod["main"].params]
    return [[generator.normal(0, 2, s).astype(np.float32) for s in shapes] for _ in range(count)]
