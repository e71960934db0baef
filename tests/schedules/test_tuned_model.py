"""A model computes the same bits for all tunable parameters and layouts of its kernels."""

import random

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax.op import nn

from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.schedules.choice import Choice, rule_default
from tests.helpers import module, once

RNG = np.random.default_rng
INPUT = (1, 64, 20)
WEIGHTS = [(20, 48), (48,), (48,), (48, 3, 3, 48), (49, 5, 5, 48), (49,)]
NUMBERS = {
    "vectors": (1, 2, 3, 4, 6),
    "value_vectors": (1, 2, 3),
    "rows": (1, 2, 3, 4, 6, 8, 12, 16),
    "several": (1, 2, 4, 8),
    "rows_at_once": (1, 2, 4),
    "unroll": (1, 2, 4),
    "block": (8, 24, 48),
    "walk": (0, 1),
    "parallel": (0, 1),
}


def formula(x):
    """A product, a norm, attention, convolutions, and element-wise operators."""
    dense, gamma, beta, small, window, bias = (
        relax.const(RNG(n).normal(size=size).astype("float32")) for n, size in enumerate(WEIGHTS)
    )
    x = once(nn.gelu(once(relax.op.matmul(x, dense))))
    x = once(nn.layer_norm(x, gamma, beta, axes=[-1]))
    heads = once(relax.op.reshape(x, (1, 2, 32, 48)))
    scores = once(relax.op.matmul(heads, relax.op.permute_dims(heads, [0, 1, 3, 2])))
    x = once(relax.op.matmul(once(nn.softmax(scores)), heads))
    x = once(relax.op.reshape(x, (1, 8, 8, 48)))
    for weights in (small, window):  # the first by Winograd's algorithm
        x = once(nn.conv2d(x, weights, padding=1, data_layout="NHWC", kernel_layout="OHWI"))
    return relax.op.sigmoid(once(nn.softmax(once(relax.op.add(x, bias)))))


def result(decide):
    native = target()
    passes = Pipeline(native, Options.parse("quake2"), decide)
    with native:
        mod = passes.upto("finish")(module(formula, INPUT))
        built = tvm.compile(mod, native, relax_pipeline=tvm.transform.Sequential([]))
    x = RNG(7).normal(size=INPUT).astype("float32")
    machine = relax.VirtualMachine(built, tvm.cpu())
    return machine["main"](tvm.runtime.tensor(x)).numpy()


@pytest.mark.slow
def test_any_numbers_give_the_bits_of_the_rules():
    expected, asked = result(rule_default), set()
    for seed in range(4):

        def decide(key, seed=seed):
            asked.add(key.operator)
            chance = random.Random(f"{seed} {key}")
            return Choice({name: chance.choice(numbers) for name, numbers in NUMBERS.items()})

        np.testing.assert_array_equal(result(decide), expected)
    products = {"matmul", "attention", "convolution", "winograd"}
    assert asked >= {*products, "layer_norm", "softmax", "sigmoid"}
