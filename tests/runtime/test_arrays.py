"""Arrays are passed without copying where possible, and each caller owns its results."""

import functools
import gc
import itertools
import sys

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.runtime.arrays import ALIGNMENT, InputBuffer
from quake_tvm.runtime.call_times import TIMED
from quake_tvm.tvm_version import tir
from tests.helpers import Formula, module, once

SHAPE = (4, 8)
X = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
op = relax.op


def placed(offset: int) -> np.ndarray:
    """X at an address with this offset from an aligned one."""
    memory = np.empty(X.nbytes + 2 * ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT + offset
    array = memory[start : start + X.nbytes].view(np.float32).reshape(SHAPE)
    array[...] = X
    return array


def read_only() -> np.ndarray:
    array = placed(0)
    array.flags.writeable = False
    return array


def compiled(formula: Formula, *shapes: tuple) -> quake_tvm.Model:
    return quake_tvm.compile(module(formula, *(shapes or (SHAPE,))))


def address(tensor: tvm.runtime.Tensor) -> int:
    return tensor.data_ptr()


@pytest.fixture(scope="module")
def model() -> quake_tvm.Model:
    return compiled(op.nn.relu)


COPIED = {
    "unaligned": placed(16),
    "read_only": read_only(),
    "transposed": np.asfortranarray(X),
    "strided": np.repeat(X, 2, axis=1)[:, ::2],
}


def test_aligned_input_is_not_copied():
    array = placed(0)
    assert address(InputBuffer("float32").tensor(array)) == array.ctypes.data


@pytest.mark.parametrize("array", COPIED.values(), ids=COPIED)
def test_other_inputs_are_copied_into_one_buffer(model, array):
    buffer = InputBuffer("float32")
    first = buffer.tensor(array)
    assert address(first) % ALIGNMENT == 0
    np.testing.assert_array_equal(first.numpy(), X)
    assert address(buffer.tensor(array)) == address(first)
    np.testing.assert_array_equal(model.run(array)[0], np.maximum(X, 0))


def test_buffer_follows_the_shape():
    buffer = InputBuffer("float32")
    for k in (1, 3, 2):
        array = np.asfortranarray(X[:k].T)
        np.testing.assert_array_equal(buffer.tensor(array).numpy(), X[:k].T)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float64"]
)
def test_dtypes(dtype):
    model = quake_tvm.compile(module(lambda x: op.concat([x, x], 0), SHAPE, dtype=dtype))
    x = X.astype(np.dtype(model.inputs[0].dtype))
    for array in (x, np.asfortranarray(x)):
        (y,) = model.run(array)
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y, np.concatenate([x, x]))


def test_no_elements():
    model = compiled(op.nn.relu, (tir.Var("n", "int64"), tir.Var("m", "int64"), 8))
    for shape in ((0, 2, 8), (2, 0, 8)):
        assert model.run(np.empty(shape, np.float32))[0].shape == shape


def test_results_outlive_later_runs_and_the_model():
    model = compiled(op.nn.relu)
    (first,) = model.run(X)
    kept = first.copy()
    (second,) = model.run(-X)
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, kept)
    del model
    gc.collect()
    compiled(op.negative).run(X)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second, np.maximum(-X, 0))


def test_outputs_go_in_again_uncopied(model):
    (y,) = model.run(X)
    assert address(InputBuffer("float32").tensor(y)) == y.ctypes.data


def test_memory_is_used_again(model):
    addresses = {model.run(X)[0].ctypes.data for _ in range(10)}
    assert len(addresses) <= 2


CONSTANT = relax.const(X)


@pytest.mark.parametrize(
    ("formula", "owned"),
    [
        pytest.param(op.nn.relu, [True], id="kernel"),
        pytest.param(lambda x: op.reshape(op.nn.relu(x), (8, 4)), [True], id="view"),
        pytest.param(lambda x: (op.nn.relu(x), op.negative(x)), [True, True], id="two"),
        pytest.param(lambda x: tuple(op.split(x, 2)[k] for k in (0, 1)), [True, True], id="split"),
        pytest.param(lambda x: x, [False], id="parameter"),
        pytest.param(lambda x: op.reshape(x, (8, 4)), [False], id="view_of_parameter"),
        pytest.param(lambda x: (op.nn.relu(x), CONSTANT), [True, False], id="constant"),
        pytest.param(lambda x: (once(op.nn.relu(x)),) * 2, [True, False], id="twice"),
        pytest.param(
            lambda x: (relax.Tuple((x, y := once(op.nn.relu(x)))), op.reshape(y, (8, 4))),
            [False, True, False],
            id="nested",
        ),
    ],
)
def test_results_are_the_callers_own(formula, owned):
    model = compiled(formula)
    x = placed(0)
    first = model.run(x)
    kept = [y.copy() for y in first]
    for y in first:
        assert not np.shares_memory(x, y)
        y[...] = 7
    for y, z in itertools.combinations(first, 2):
        assert not np.shares_memory(y, z)
    for y, k in zip(model.run(x), kept, strict=True):
        np.testing.assert_array_equal(y, k)
    assert model._owned == owned


@pytest.mark.parametrize("count", [1, 3])
def test_a_call_costs_little(count):
    model = compiled(lambda *xs: op.nn.relu(functools.reduce(op.add, xs)), *[SHAPE] * count)
    xs = [placed(0), placed(16), read_only()][:count]
    for _ in range(2 * TIMED):  # the first calls are timed
        model.run(*xs)
    events: list[str] = []
    sys.setprofile(lambda _, event, __: events.append(event))
    try:
        model.run(*xs)
    finally:
        sys.setprofile(None)
    # Python's calls are counted: no time would be the same on another machine.
    assert sum(event in ("call", "c_call") for event in events) < 40
