"""Norms that no kernel of ours takes: right in every float type, and where the mean is large."""

import numpy as np
import pytest
from tvm import relax

import quake_tvm
from quake_tvm.tvm_version import tir
from tests.helpers import module

nn = relax.op.nn
X = (2, 6, 5, 8)
EPSILON = 1e-5
# A type's mean and deviation, and how far a result may be off: the mean's spacing by the deviation.
TYPES = {
    "float32": (1000.0, 1.0, 4e-4),
    "float64": (1e6, 1.0, 1e-8),
    "float16": (10.0, 0.1, 3e-3),
}
# Operator, options, and for group_norm the number of groups.
CASES = {
    "layer_norm": (nn.layer_norm, {"axes": [-1]}, 0),
    "layer_norm_two_axes": (nn.layer_norm, {"axes": [2, 3]}, 0),
    "layer_norm_no_beta": (nn.layer_norm, {"axes": [-1], "center": False}, 0),
    "layer_norm_no_gamma": (nn.layer_norm, {"axes": [1], "scale": False}, 0),
    "layer_norm_axes_apart": (nn.layer_norm, {"axes": [3, 1]}, 0),
    "layer_norm_of_channels": (nn.layer_norm, {"axes": [1]}, 0),
    "rms_norm": (nn.rms_norm, {"axes": [-1]}, 0),
    "rms_norm_of_channels": (nn.rms_norm, {"axes": [1]}, 0),
    "rms_norm_two_axes": (nn.rms_norm, {"axes": [2, 3]}, 0),
    "rms_norm_all": (nn.rms_norm, {"axes": [1, 2, 3]}, 0),
    "group_norm": (nn.group_norm, {"channel_axis": 1, "axes": [2, 3]}, 3),
    "group_norm_channels_last": (nn.group_norm, {"channel_axis": 3, "axes": [1, 2]}, 4),
    "group_norm_no_beta": (
        nn.group_norm,
        {"channel_axis": -1, "axes": [1, 2], "center": False},
        2,
    ),
    "instance_norm": (nn.instance_norm, {"channel_axis": 1, "axes": [2, 3]}, 0),
    "instance_norm_of_a_batch": (nn.instance_norm, {"channel_axis": 1, "axes": [0, 2, 3]}, 0),
    "instance_norm_channels_last": (nn.instance_norm, {"channel_axis": 3, "axes": [1, 2]}, 0),
}


def weighted_axes(options):
    axes = [options["channel_axis"]] if "channel_axis" in options else options["axes"]
    return [a % len(X) for a in axes]


def weights(name, dtype):
    operator, options, _ = CASES[name]
    shape = [X[a] for a in weighted_axes(options)]
    values = np.random.default_rng(1).normal(size=(2, *shape)).astype(dtype)
    return values[:1] if operator is nn.rms_norm else values


def formula(name, dtype):
    operator, options, groups = CASES[name]
    arguments = [relax.const(w, dtype) for w in weights(name, dtype)] + ([groups] if groups else [])
    return lambda x: operator(x, *arguments, epsilon=EPSILON, **options)


def expected(name, x, dtype):
    operator, options, groups = CASES[name]
    x, axes = x.astype(np.float64), sorted(a % len(X) for a in options["axes"])
    shape = x.shape
    if groups:
        channel = options["channel_axis"] % len(X)
        x = x.reshape(*shape[:channel], groups, -1, *shape[channel + 1 :])
        axes = [channel + 1, *(a + (a > channel) for a in axes)]
    axes = tuple(axes)
    if operator is not nn.rms_norm:
        x = x - x.mean(axes, keepdims=True)
    x = (x / np.sqrt(np.mean(x * x, axes, keepdims=True) + EPSILON)).reshape(shape)
    order = np.argsort(weighted_axes(options))
    spread = [n if k in weighted_axes(options) else 1 for k, n in enumerate(X)]
    gamma, *beta = (
        w.astype(np.float64).transpose(order).reshape(spread) for w in weights(name, dtype)
    )
    x = x * gamma if options.get("scale", True) else x
    return x + beta[0] if beta and options.get("center", True) else x


def test_bfloat16():
    """Held to what its eight bits resolve."""
    mod = module(formula("layer_norm_two_axes", "bfloat16"), X, dtype="bfloat16")
    x = np.random.default_rng(0).normal(3, 1, X).astype("bfloat16")
    (y,) = quake_tvm.compile(mod, method="exact").run(x)
    wanted = expected("layer_norm_two_axes", x, "bfloat16")
    np.testing.assert_allclose(y.astype(np.float64), wanted, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("batch", [X[0], tir.Var("n", "int64")], ids=["static", "any batch"])
def test_a_large_mean(dtype, batch):
    """With all cases in one module."""
    mean, deviation, tolerance = TYPES[dtype]
    mod = module(
        lambda x: tuple(formula(name, dtype)(x) for name in CASES), (batch, *X[1:]), dtype=dtype
    )
    x = np.random.default_rng(0).normal(mean, deviation, X).astype(dtype)
    found = quake_tvm.compile(mod, method="exact").run(x)
    for name, y in zip(CASES, found, strict=True):
        assert y.dtype == dtype
        wanted = expected(name, x, dtype)
        np.testing.assert_allclose(y, wanted, rtol=tolerance, atol=tolerance, err_msg=name)
