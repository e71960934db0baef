"""layer_norm and rms_norm over rows of any length, special rows, and norms built on them."""

import functools

import numpy as np
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import te

import quake_tvm
from quake_tvm.kernels import norms
from quake_tvm.machines.targets import target
from quake_tvm.schedules import RULE, schedule

LENGTHS = [1, 2, 7, 15, 16, 17, 33, 384, 1000, 4096]
NORMS = ["layer_norm", "rms_norm"]
EPSILON = 1e-5


@functools.cache
def kernel(operator, rows=None, length=None, epsilon=EPSILON):
    """The kernel. An extent of None is dynamic."""
    shape = [
        te.var(v, dtype="int64") if n is None else n
        for v, n in zip("mn", (rows, length), strict=True)
    ]
    x = te.placeholder(shape, name="x")
    count = 2 if operator == "layer_norm" else 1
    weights = [te.placeholder(shape[1:], name=f"w{k}") for k in range(count)]
    y = getattr(norms, operator)(x, *weights, epsilon=epsilon)
    function = schedule(te.create_prim_func([x, *weights, y]), target())
    assert function.attrs[RULE] == "rows"
    return tvm.compile(function, target=target())["main"]


def run(operator, x, *weights, rows=None, length=None, **options):
    out = tvm.runtime.empty(x.shape, "float32")
    build = kernel(operator, rows, length, **options)
    build(*map(tvm.runtime.tensor, (x, *weights)), out)
    return out.numpy()


def exact(operator, x, *weights, epsilon=EPSILON):
    x, (gamma, *beta) = x.astype(np.float64), [w.astype(np.float64) for w in weights]
    if operator == "rms_norm":
        return x / np.sqrt(np.mean(x**2, -1, keepdims=True) + epsilon) * gamma
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * (
        gamma
    ) + beta[0]


def arrays(operator, rows, length, offset=0.0):
    rng = np.random.default_rng(length)
    x = rng.normal(offset, 1, (rows, length)).astype(np.float32)
    count = 2 if operator == "layer_norm" else 1
    return x, *(rng.normal(size=length).astype(np.float32) for _ in range(count))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("operator", NORMS)
def test_right(operator, rows, length):
    x, *weights = arrays(operator, rows, length)
    y = run(operator, x, *weights, rows=rows, length=length)
    np.testing.assert_allclose(y, exact(operator, x, *weights), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("length", [33, 384, 4096])
def test_large_mean_does_not_cancel(length):
    """float32 is accurate to 1e-3 at 1e4. E[x^2] - E[x]^2 would err by more than the variance."""
    x, gamma, beta = arrays("layer_norm", 4, length, offset=1e4)
    gamma[:], beta[:] = 1, 0
    y = exact("layer_norm", x, gamma, beta)
    square = np.mean(x * x, -1, keepdims=True, dtype=np.float32)
    mean = np.mean(x, -1, keepdims=True, dtype=np.float32)
    one_pass = (x - mean) / np.sqrt(np.maximum(square - mean * mean, 0) + np.float32(EPSILON))
    ours = run("layer_norm", x, gamma, beta, rows=4, length=length)
    assert np.max(np.abs(ours - y)) < 2e-3 < 0.1 < np.max(np.abs(one_pass - y))


@pytest.mark.parametrize("length", [1, 7, 16, 33, 384])
@pytest.mark.parametrize("operator", NORMS)
def test_constant_and_zero_rows(operator, length):
    x, *weights = arrays(operator, 3, length)
    x[0], x[1] = 0, 3
    y = run(operator, x, *weights, rows=3, length=length)
    np.testing.assert_allclose(y, exact(operator, x, *weights), rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("operator", NORMS)
def test_nan_stays_in_its_row(operator, length):
    x, *weights = arrays(operator, 7, length)
    clean = run(operator, x, *weights, rows=7, length=length)
    x[3, length // 2] = np.nan
    y = run(operator, x, *weights, rows=7, length=length)
    assert np.all(np.isnan(y[3]))
    others = np.arange(7) != 3
    np.testing.assert_array_equal(y[others], clean[others])


@pytest.mark.parametrize("operator", NORMS)
def test_infinity(operator):
    x, *weights = arrays(operator, 3, 33)
    x[1, 5] = np.inf
    y = run(operator, x, *weights, rows=3, length=33)
    assert np.isnan(y[1, 5])
    assert np.all(np.isfinite(y[[0, 2]]))


@pytest.mark.parametrize("unknown", ["rows", "length", "both"])
@pytest.mark.parametrize("operator", NORMS)
def test_dynamic_has_the_bits_of_static(operator, unknown):
    for length in LENGTHS:
        x, *weights = arrays(operator, 5, length)
        static = run(operator, x, *weights, rows=5, length=length)
        known = {"rows": {"length": length}, "length": {"rows": 5}, "both": {}}[unknown]
        np.testing.assert_array_equal(run(operator, x, *weights, **known), static)


@pytest.mark.parametrize("operator", NORMS)
def test_row_does_not_depend_on_its_neighbours(operator):
    for length in (7, 33, 384):
        x, *weights = arrays(operator, 9, length)
        whole = run(operator, x, *weights, rows=9, length=length)
        for index, row in enumerate(x):
            alone = run(operator, row[None], *weights, rows=1, length=length)
            np.testing.assert_array_equal(whole[index], alone[0])


@pytest.mark.parametrize("length", [None, 33])
@pytest.mark.parametrize("operator", NORMS)
def test_no_rows(operator, length):
    x, *weights = arrays(operator, 0, 33)
    assert run(operator, x, *weights, length=length).shape == (0, 33)


@pytest.mark.parametrize("epsilon", [0.0, 1e-12, 0.5])
@pytest.mark.parametrize("operator", NORMS)
def test_epsilon(operator, epsilon):
    x, *weights = arrays(operator, 3, 33)
    y = run(operator, x, *weights, epsilon=epsilon)
    expected = exact(operator, x, *weights, epsilon=epsilon)
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)


def model(kind, shape, opset, **attributes):
    """A norm of ONNX over ``x`` with random constant weights."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=shape[1]).astype(np.float32) for _ in range(2)]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", "w0", "w1"], ["y"], epsilon=EPSILON, **attributes)],
        kind,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, f"w{k}") for k, w in enumerate(weights)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def grouped(model, x, groups):
    """A group norm or instance norm in float64."""
    gamma, beta = (numpy_helper.to_array(w).astype(np.float64) for w in model.graph.initializer)
    rows = x.astype(np.float64).reshape(len(x), groups, -1)
    normal = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + EPSILON)
    per_channel = (-1, *[1] * (x.ndim - 2))
    return normal.reshape(x.shape) * gamma.reshape(per_channel) + beta.reshape(per_channel)


SHAPES = [(2, 6, 5), (1, 6, 7, 9), (3, 6, 1, 1), (2, 6, 4, 3, 5)]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_group_norm(shape, groups, offset):
    norm = model("GroupNormalization", shape, 21, num_groups=groups)
    x = np.random.default_rng(0).normal(offset, 1, shape).astype(np.float32)
    compiled = quake_tvm.compile(norm)
    assert "rows" in compiled.report.kernels.values()
    tolerance = 1e-5 if offset == 0 else 5e-4
    np.testing.assert_allclose(
        compiled.run(x)[0], grouped(norm, x, groups), rtol=1e-5, atol=tolerance
    )


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_instance_norm(shape, offset):
    norm = model("InstanceNormalization", shape, 22)
    x = np.random.default_rng(0).normal(offset, 1, shape).astype(np.float32)
    compiled = quake_tvm.compile(norm)
    assert "rows" in compiled.report.kernels.values()
    tolerance = 1e-5 if offset == 0 else 5e-4
    np.testing.assert_allclose(
        compiled.run(x)[0], grouped(norm, x, shape[1]), rtol=1e-5, atol=tolerance
    )
