"""The fused attention computes softmax between two products, for all layouts of its operands."""

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te

from quake_tvm.kernels.attention import attention
from quake_tvm.kernels.attention_products import Operand
from quake_tvm.kernels.long_rows import MOST_KEYS
from quake_tvm.kernels.register_tile import SQUARE, transpose
from quake_tvm.machines.targets import target
from quake_tvm.numerics import row_bounds
from quake_tvm.passes.relax import lower_kernels
from quake_tvm.schedules import RULE, schedule
from quake_tvm.schedules.attention import tiles
from quake_tvm.tvm_version import tir

HEADS_LAST = Operand((0, 2, 1, 3))


def run(q, k, v, mask=None, operand=HEADS_LAST, name="native", method="quake3", scale=0.25):
    """Attention over (batch, head, position, feature) arrays, passed in the layout ``operand``."""
    stored = [np.ascontiguousarray(a.transpose(operand.axes)) for a in (q, k, v)]
    arrays = stored if mask is None else [*stored, mask]
    tensors = [te.placeholder(a.shape, name=f"t{n}") for n, a in enumerate(arrays)]
    result = attention(
        *tensors,
        operands=(operand,) * 4,
        tiles=tiles(q.shape[2], k.shape[2], v.shape[3], target(name)),
        method=method,
        scale=scale,
    )
    function = schedule(te.create_prim_func([*tensors, result]), target(name))
    assert function.attrs[RULE] == "attention"
    out = tvm.runtime.empty([int(n) for n in result.shape], "float32")
    kernel = tvm.compile(function, target=target(name), tir_pipeline=lower_kernels.NAME)["main"]
    kernel(*map(tvm.runtime.tensor, arrays), out)
    return out.numpy().transpose(operand.axes)


def reference(q, k, v, mask=0.0, scale=0.25):
    scores = scale * q.astype(np.float64) @ k.astype(np.float64).swapaxes(2, 3) + mask
    with np.errstate(invalid="ignore"):  # rows with all keys masked
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v.astype(np.float64)


def operands(batch, heads, length, keys, depth, width):
    rng = np.random.default_rng(0)
    shapes = [(length, depth), (keys, depth), (keys, width)]
    return [rng.normal(size=(batch, heads, *s)).astype(np.float32) for s in shapes]


def allowed(method, v):
    """The bound, plus the rounding error of the scores."""
    return row_bounds.attention(method) * np.abs(v).max() + 1e-5


@pytest.mark.parametrize("name", ["x86-64-v2", "x86-64-v3", "native"])
@pytest.mark.parametrize(
    ("length", "keys", "depth", "width"),
    [(8, 48, 16, 16), (17, 49, 17, 33), (31, 128, 32, 32), (257, 257, 64, 64), (16, 1000, 20, 48)],
)
def test_against_float64(length, keys, depth, width, name):
    q, k, v = operands(2, 3, length, keys, depth, width)
    error = np.abs(run(q, k, v, name=name) - reference(q, k, v)).max()
    assert error <= allowed("quake3", v)


@pytest.mark.parametrize("axes", [(0, 2, 1, 3), (1, 0, 2, 3), (2, 1, 0, 3)])
def test_any_order_of_the_outer_axes(axes):
    q, k, v = operands(2, 3, 20, 50, 16, 16)
    plain = run(q, k, v, operand=Operand((0, 1, 2, 3)))
    np.testing.assert_array_equal(run(q, k, v, operand=Operand(axes)), plain)


@pytest.mark.parametrize("shape", [(1, 1, 1, 50), (2, 1, 1, 50), (2, 3, 20, 50), (20, 50), (50,)])
def test_mask_broadcasts(shape):
    q, k, v = operands(2, 3, 20, 50, 16, 16)
    mask = np.where(np.random.default_rng(1).random(shape) < 0.3, -3.4e38, 0).astype(np.float32)
    error = np.abs(run(q, k, v, mask) - reference(q, k, v, mask.astype(np.float64))).max()
    assert error <= allowed("quake3", v)


def test_special_rows_stay_alone():
    q, k, v = operands(1, 1, 20, 50, 16, 16)
    plain = run(q, k, v, np.zeros((20, 50), np.float32))
    mask = np.zeros((20, 50), np.float32)
    mask[3, 7], mask[5] = np.nan, -np.inf
    result = run(q, k, v, mask)
    assert np.isnan(result[0, 0, [3, 5]]).all()
    others = [n for n in range(20) if n not in (3, 5)]
    np.testing.assert_array_equal(result[0, 0, others], plain[0, 0, others])


@pytest.fixture
def long_rows(monkeypatch):
    """Compute rows in blocks of keys, whatever their length."""
    monkeypatch.setattr("quake_tvm.kernels.long_rows.MOST_KEYS", 128)


@pytest.mark.usefixtures("long_rows")
@pytest.mark.parametrize("name", ["x86-64-v3", "native"])
@pytest.mark.parametrize("keys", [130, 257, 500, 1000])
def test_long_rows(keys, name):
    q, k, v = operands(1, 2, 20, keys, 32, 64)
    error = np.abs(run(q, k, v, name=name) - reference(q, k, v)).max()
    assert error <= allowed("quake3", v)


@pytest.mark.usefixtures("long_rows")
def test_masked_blocks_of_long_rows():
    q, k, v = operands(1, 1, 20, 500, 16, 32)
    mask = np.zeros((20, 500), np.float32)
    mask[0, :300] = mask[1, 200:] = mask[2, :130] = mask[2, 260:] = -np.inf
    mask[3, :300] = -3.4e38
    mask[4, :300], mask[4, 300:] = -np.inf, -300
    mask[5], mask[6, 400] = -np.inf, np.nan
    result, exact = run(q, k, v, mask)[0, 0], reference(q, k, v, mask.astype(np.float64))[0, 0]
    assert np.isnan(result[[5, 6]]).all()
    others = [n for n in range(20) if n not in (5, 6)]
    assert np.abs(result[others] - exact[others]).max() <= allowed("quake3", v)


def test_a_row_that_does_not_fit():
    keys = MOST_KEYS * 2 + 77
    q, k, v = operands(1, 1, 16, keys, 16, 32)
    error = np.abs(run(q, k, v) - reference(q, k, v)).max()
    assert error <= allowed("quake3", v)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    st.integers(8, 70), st.integers(48, 200), st.integers(16, 70), st.integers(16, 70), st.data()
)
def test_any_size(length, keys, depth, width, data):
    q, k, v = operands(1, data.draw(st.integers(1, 3)), length, keys, depth, width)
    error = np.abs(run(q, k, v) - reference(q, k, v)).max()
    assert error <= allowed("quake3", v)


def test_transpose_of_a_square():
    x = te.placeholder((SQUARE, SQUARE), name="x")
    lane = tir.Ramp(tir.const(0, "int64"), tir.const(1, "int64"), SQUARE)
    y = te.extern(
        [(SQUARE, SQUARE)],
        [x],
        lambda ins, outs: transpose(
            lambda r: tir.BufferLoad(ins[0], [r, lane]),
            lambda lines: [tir.BufferStore(outs[0], x, [c, lane]) for c, x in enumerate(lines)],
        ),
        dtype="float32",
    )
    kernel = tvm.compile(te.create_prim_func([x, y]), target=target())["main"]
    square = np.arange(SQUARE * SQUARE, dtype=np.float32).reshape(SQUARE, SQUARE)
    out = tvm.runtime.empty(square.shape, "float32")
    kernel(tvm.runtime.tensor(square), out)
    np.testing.assert_array_equal(out.numpy(), square.T)
