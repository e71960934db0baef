"""Reductions and indices of extremes at NaN and infinities, of every type, layout and axis."""

import numpy as np
import pytest
from tvm import relax, tirx

import quake_tvm
from quake_tvm.passes.relax.legalize_extremes import RULES
from tests.helpers import module

op, nn = relax.op, relax.op.nn
NAN, INF = np.nan, np.inf
X = np.array(
    [
        [-INF, -INF, -INF],
        [INF, INF, INF],
        [NAN, 1, 2],
        [1, NAN, -INF],
        [1, 2, NAN],
        [-INF, 3, INF],
        [4, 4, -4],
    ],
    "float32",
)
FLOATS = ["float16", "float32", "float64"]


def run(formulas, *arrays):
    """The results of several formulas, compiled in one module."""
    shapes, dtype = [a.shape for a in arrays], str(arrays[0].dtype)
    mod = module(lambda *x: tuple(f(*x) for f in formulas), *shapes, dtype=dtype)
    return quake_tvm.compile(mod, method="exact").run(list(arrays))


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats(dtype):
    x = X.astype(dtype)
    formulas, wanted = [], []
    for axis in (-1, 0, [0, 1]):
        for ours, numpys in ((op.max, np.max), (op.min, np.min)):
            formulas.append(lambda x, f=ours, axis=axis: f(x, axis=axis, keepdims=True))
            wanted.append(numpys(x, axis=tuple(np.atleast_1d(axis)), keepdims=True))
    for axis in (-1, 0, None):
        for ours, numpys in ((op.argmax, np.argmax), (op.argmin, np.argmin)):
            formulas.append(lambda x, f=ours, axis=axis: f(x, axis=axis))
            wanted.append(numpys(x, axis=axis))
    formulas.append(op.sign)
    wanted.append(np.sign(x))
    for found, y in zip(run(formulas, x), wanted, strict=True):
        np.testing.assert_array_equal(found, y)
        assert found.dtype == y.dtype


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_integers(dtype):
    ends = np.iinfo(dtype)
    x = np.array([[ends.min] * 3, [ends.max] * 3, [5, 7, 5], [7, 5, 5]], dtype)
    formulas = [
        lambda x: op.max(x, axis=1),
        lambda x: op.min(x, axis=1),
        lambda x: op.argmax(x, axis=1),
        lambda x: op.argmin(x, axis=1),
    ]
    wanted = x.max(1), x.min(1), x.argmax(1), x.argmin(1)
    for found, y in zip(run(formulas, x), wanted, strict=True):
        np.testing.assert_array_equal(found, y)


def test_index_keeps_dimensions_and_takes_any_length():
    kept, flat = run(
        [lambda x: op.argmax(x, axis=0, keepdims=True), lambda x: op.argmax(x, keepdims=True)], X
    )
    np.testing.assert_array_equal(kept, X.argmax(0, keepdims=True))
    assert (flat.shape, flat.item()) == ((1, 1), X.argmax())
    for length in (1, 5, 33):
        x = np.random.default_rng(length).permutation(7 * length).reshape(7, length)
        (found,) = run([lambda x: op.argmin(x, axis=1)], x.astype("float32"))
        np.testing.assert_array_equal(found, x.argmin(1))


def pooled(x, size, stride, pad):
    """NumPy's maximum over windows of an image (1, h, w, c)."""
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=-INF)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride].max(axis=(-1, -2))


@pytest.mark.parametrize("channels", [1, 5, 40])
def test_pooling(channels):
    generator = np.random.default_rng(channels)
    x = generator.choice(
        np.float32([-INF, -INF, -INF, NAN, 1, -2, INF]),
        (1, 9, 11, channels),
        p=[0.3] * 3 + [0.025] * 4,
    )
    kinds = [(1, 1, 0), (2, 2, 0), (3, 2, 1), (3, 1, 1)]

    def formula(kind, layout):
        size, stride, pad = kind
        return lambda x: nn.max_pool2d(x, (size, size), stride, pad, layout=layout)

    wanted = [pooled(x, *kind) for kind in kinds]
    for found, y in zip(run([formula(k, "NHWC") for k in kinds], x), wanted, strict=True):
        np.testing.assert_array_equal(found, y)
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    for found, y in zip(run([formula(k, "NCHW") for k in kinds], first), wanted, strict=True):
        np.testing.assert_array_equal(found, y.transpose(0, 3, 1, 2))


def test_ceil_mode_and_volumes():
    x = np.full((1, 1, 5, 5, 5), -INF, "float32")
    line, volume = run(
        [
            lambda x: nn.max_pool1d(op.reshape(x, (1, 5, 25)), 2, 2, ceil_mode=True),
            lambda x: nn.max_pool3d(x, (2, 2, 2), (2, 2, 2), (1, 1, 1, 1, 1, 1), ceil_mode=True),
        ],
        x,
    )
    assert line.shape == (1, 5, 13)
    assert np.all(np.isneginf(line))
    assert np.all(np.isneginf(volume))


def test_regions():
    """A NaN in a region is its maximum. A region without elements gives 0, as in ONNX."""
    x = np.float32([[1, 2, NAN, 4], [NAN, INF, 1, 1], [-INF, -INF, -INF, -INF]]).reshape(3, 1, 2, 2)
    regions = np.float32([[k, 0, 0, 1, 1] for k in range(3)] + [[0, 9, 9, 9, 9]])

    def pooled(x):
        return op.vision.roi_pool(x, relax.const(regions), (1, 1), 1.0)

    (found,) = run([pooled], x)
    np.testing.assert_array_equal(found.reshape(-1), np.float32([NAN, NAN, -INF, 0]))


def test_rules_are_of_operators_that_exist():
    import tvm

    assert set(RULES) <= set(tvm.ir.Op.list_op_names())


@pytest.mark.parametrize("shape", [(640,), (3, 5, 32), (6, 7), (1, 1, 512), (9,)])
def test_whole_tensor(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype("float32") - 9
    formulas = [
        *(lambda x, f=f: f(x) for f in (op.max, op.min)),
        *(lambda x, f=f: f(x, keepdims=True) for f in (op.max, op.min)),
    ]
    wanted = [f(x, keepdims=keep) for keep in (False, True) for f in (np.max, np.min)]
    for found, y in zip(run(formulas, x), wanted, strict=True):
        np.testing.assert_array_equal(found, y, strict=True)
    for place in (0, x.size // 2, x.size - 1):
        x.flat[place] = NAN
        assert all(np.isnan(found).all() for found in run(formulas, x))
        x.flat[place] = 0


def test_whole_tensor_takes_vectors():
    """One number of all elements at once would be compared element by element."""
    model = quake_tvm.compile(module(op.max, (75, 48)), method="exact")
    assert "pooling" in model.report.kernels.values()


def test_whole_tensor_of_any_size():
    model = quake_tvm.compile(module(op.min, (tirx.Var("n", "int64"), 3, 33)), method="exact")
    for n in (1, 2, 40):
        x = np.random.default_rng(n).standard_normal((n, 3, 33)).astype("float32")
        (found,) = model.run([x])
        assert found == x.min()
