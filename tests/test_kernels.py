"""Whole models: all kernels have rules, element-wise ones use vectors, threads change no bit."""

import os
import re
import subprocess

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.schedules import RULE, RULES
from quake_tvm.tvm_version import tir
from tests.helpers import c, module, once
from tests.processes import python

op, nn = relax.op, relax.op.nn
NAMES = {rule.name for rule in RULES}


def const(*shape, spread=0.3):
    values = np.random.default_rng(sum(shape)).normal(0, spread, shape)
    return relax.const(values.astype(np.float32))


def normalized(x, channels):
    mean, variance = const(channels), relax.const(np.ones(channels, np.float32))
    weights = (const(channels), const(channels), mean, variance)
    return once(nn.batch_norm(x, *weights, axis=1, training=False))[0]


def conv_net(x):
    """(n, 3, 34, 34) to (n, 10): convolutions of all kinds and a classifier."""
    x = once(nn.silu(once(normalized(nn.conv2d(x, const(24, 3, 3, 3), strides=2, padding=1), 24))))
    deep = nn.relu(
        once(nn.conv2d(x, const(24, 1, 3, 3), padding=1, groups=24) + const(1, 24, 1, 1))
    )
    x = once(x + once(normalized(nn.conv2d(deep, const(24, 24, 1, 1)), 24)))
    x = nn.relu(nn.conv2d(x, const(24, 24, 3, 3), padding=1))
    x = nn.max_pool2d(x, (3, 3), strides=2, padding=1)
    x = nn.gelu(once(nn.conv2d(x, const(24, 12, 3, 3), groups=2, padding=1)))
    x = nn.group_norm(x, const(24), const(24), 4, channel_axis=1, axes=[2, 3])
    features = once(op.mean(x, axis=[2, 3]))
    return nn.softmax(op.matmul(features, const(24, 10)) + const(10))


def transformer(x):
    """(n, 19, 48): a block of attention and a block of two layers."""

    def layer_norm(x):
        return nn.layer_norm(x, const(48), const(48), axes=[-1])

    def heads(x):
        shape = [x.ty.shape[0], 19, 3, 16]
        return op.permute_dims(op.reshape(op.matmul(x, const(48, 48)), shape), (0, 2, 1, 3))

    normal = once(layer_norm(x))
    scores = op.matmul(heads(normal), op.permute_dims(heads(normal), (0, 1, 3, 2))) / c(4)
    attended = op.permute_dims(op.matmul(nn.softmax(scores), heads(normal)), (0, 2, 1, 3))
    x = once(x + op.matmul(op.reshape(attended, x.ty.shape), const(48, 48)))
    wide = nn.gelu(op.matmul(layer_norm(x), const(48, 96)) + const(96))
    return x + op.matmul(wide, const(96, 48))


def odd(x):
    """(n, 6, 9, 11): operators in combinations that exporters do not write."""
    picked = op.take(x, relax.const(np.array([3, 0, 5])), axis=1)
    both = once(op.concat([picked, op.strided_slice(x, [1], [1], [4])], axis=1))
    pooled = nn.avg_pool2d(both, (2, 2), strides=2)
    resized = once(relax.op.image.resize2d(pooled, (9, 11), method="linear"))
    running = once(op.cumsum(resized, axis=3))
    clipped = op.where(op.greater(running, c(0)), op.clip(running, 0, 2), op.tanh(running))
    turned = op.flip(op.tile(clipped, [1, 2, 1, 1]), 2)
    rolled = once(nn.pad(op.permute_dims(turned, (0, 3, 1, 2)), [0, 0, 1, 2, 0, 0, 3, 0]))
    return op.max(rolled, axis=2), op.std(rolled, axis=[1]), op.argmax(rolled, axis=3)


MODELS = {
    "conv_net": (conv_net, (1, 3, 34, 34)),
    "transformer": (transformer, (2, 19, 48)),
    "odd": (odd, (2, 6, 9, 11)),
}
SYMBOLIC = {
    name: (formula, (tir.Var("n", "int64"), *s[1:])) for name, (formula, s) in MODELS.items()
}


def scheduled(mod, name):
    """The module's scheduled kernels."""
    kind = target(name)
    with kind:
        mod = Pipeline.of(kind, method="quake3").upto("schedule")(mod)
    return {g.name_hint: f for g, f in mod.functions_items() if isinstance(f, tir.PrimFunc)}


def input_of(name):
    return np.random.default_rng(0).normal(size=MODELS[name][1]).astype(np.float32)


@pytest.mark.parametrize("models", [MODELS, SYMBOLIC], ids=["static", "symbolic"])
@pytest.mark.parametrize("name", MODELS)
def test_every_kernel_has_a_rule(name, models):
    formula, shape = models[name]
    model = quake_tvm.compile(module(formula, shape), method="quake5")
    # A scan is TVM's own loop without blocks.
    unscheduled = {kernel for kernel, rule in model.report.kernels.items() if rule not in NAMES}
    assert unscheduled <= {"cumsum"}
    expected = run_all(module(*MODELS[name]), input_of(name))
    for y, exact in zip(model.run(input_of(name)), expected, strict=True):
        np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-4)


def run_all(mod, x):
    """All outputs of TVM's default build."""
    machine = relax.VirtualMachine(tvm.compile(mod, target()), tvm.cpu())
    outputs = machine["main"](tvm.runtime.tensor(x))
    outputs = [outputs] if isinstance(outputs, tvm.runtime.Tensor) else list(outputs)
    return [y.numpy() for y in outputs]


@pytest.mark.parametrize("kind", ["x86-64-v3", "x86-64-v4"])
@pytest.mark.parametrize("name", MODELS)
def test_elementwise_kernels_run_in_vectors(name, kind):
    for kernel, function in scheduled(module(*MODELS[name]), kind).items():
        if function.attrs.get(RULE) != "elementwise":
            continue
        built = tvm.compile(function.with_attr("global_symbol", "main"), target=target(kind))
        asm = built.mod.inspect_source("asm")
        # Rows of less than sixteen floats, and copies, may use half of AVX-512's registers.
        assert re.search(r"\bv\w*(ps|dqu)\w*\b.*[yz]mm", asm), kernel


# Prints a hash of the bits of every model's results.
RUN = """
import hashlib, sys
from pathlib import Path
import numpy as np
import quake_tvm

found = hashlib.sha256()
for path in sorted(Path(sys.argv[1]).glob("*.so")):
    for y in quake_tvm.load(path).run(np.load(path.with_suffix(".npy"))):
        found.update(y.tobytes())
print(found.hexdigest())
"""


def test_threads_do_not_change_the_bits(tmp_path):
    for name, (formula, shape) in MODELS.items():
        large = (16, *shape[1:])  # large enough to use threads
        x = np.random.default_rng(0).normal(size=large).astype(np.float32)
        np.save(tmp_path / f"{name}.npy", x)
        built = quake_tvm.compile(module(formula, large), method="quake2")
        built.export(tmp_path / f"{name}.so")
    results = set()
    for threads in ("1", "2", "3", "4"):
        done = subprocess.run(
            python(RUN, tmp_path),
            env={**os.environ, "TVM_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        )
        results.add(done.stdout.splitlines()[-1])
    assert len(results) == 1
