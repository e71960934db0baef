"""Attention whose rows see keys up to a position, and whose keys serve groups of heads."""

import functools

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.kernels.attention import attention
from quake_tvm.kernels.attention_products import Operand
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax import lower_kernels
from quake_tvm.schedules import RULE, schedule
from quake_tvm.schedules.attention import tiles
from tests.kernels.test_attention import allowed, reference

HEADS_LAST = Operand((0, 2, 1, 3))
SCALE, FEATURES, METHOD = 0.25, 32, "quake3"
HEADS, KEY_HEADS = 6, 2
# Rows, keys, and the position of the first row.
CASES = [
    (1, 1, 0), (1, 40, 17), (7, 7, 0), (33, 33, 0), (16, 16, 0), (2, 300, 100), (64, 64, 0),
    (5, 1024, 700), (9, 1500, 1100), (3, 2100, 1030), (20, 1300, 0), (3, 9, 4),
]  # fmt: skip
STATIC = [(33, 33, 0), (3, 2100, 1030)]  # also compiled for these sizes alone


def _function(heads, key_heads, length, keys, name, causal, masked):
    shapes = [
        ((1, length, heads, FEATURES), "float32"),
        ((1, keys, key_heads, FEATURES), "float32"),
        ((1, keys, key_heads, FEATURES), "float32"),
    ]
    shapes += [((length,), "int64")] * causal
    shapes += [((1, 1, length, keys), "float32")] * masked
    tensors = [te.placeholder(s, dtype, f"t{n}") for n, (s, dtype) in enumerate(shapes)]
    known = [n if isinstance(n, int) else None for n in (length, keys)]
    result = attention(
        *tensors,
        operands=(HEADS_LAST,) * 4,
        tiles=tiles(*known, FEATURES, target(name)),
        method=METHOD,
        scale=SCALE,
        empty=0.0,
        causal=causal,
    )
    done = schedule(te.create_prim_func([*tensors, result], "int64"), target(name))
    assert done.attrs[RULE] == "attention"
    return done


@functools.cache
def _library(name):
    """Kernels of any length: the triangle, with a mask too, and the masked square."""
    length, keys = (te.var(axis, dtype="int64") for axis in "ln")
    functions = {
        "plain": _function(HEADS, KEY_HEADS, length, keys, name, True, 0),
        "both": _function(HEADS, KEY_HEADS, length, keys, name, True, 1),
        "square": _function(HEADS, HEADS, length, keys, name, False, 1),
    }
    for length, keys, first in STATIC:
        made = _function(HEADS, KEY_HEADS, length, keys, name, True, 0)
        functions[f"static_{length}_{keys}_{first}"] = made
    named = {key: f.with_attr("global_symbol", key) for key, f in functions.items()}
    return tvm.compile(tvm.IRModule(named), target=target(name), tir_pipeline=lower_kernels.NAME)


def _call(name, function, *arrays):
    q = arrays[0]
    out = tvm.runtime.empty(q.shape, "float32")
    _library(name)[function](*map(tvm.runtime.tensor, arrays), out)
    return out.numpy()


def _operands(length, keys):
    rng = np.random.default_rng(length + keys)
    shapes = [(1, length, HEADS), (1, keys, KEY_HEADS), (1, keys, KEY_HEADS)]
    return [rng.normal(size=(*s, FEATURES)).astype(np.float32) for s in shapes]


def _kernels(names):
    """Every case with every target; the second one only in the slow tests."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (n > 0)) for n, name in enumerate(names)]


@pytest.mark.parametrize("name", _kernels(["native", "x86-64-v3"]))
@pytest.mark.parametrize(("length", "keys", "first"), CASES)
def test_the_triangle_has_the_bits_of_the_masked_square(length, keys, first, name):
    q, k, v = _operands(length, keys)
    positions = first + np.arange(length)
    hidden = np.arange(keys) > positions[:, None]
    mask = np.where(hidden, -np.inf, 0).astype(np.float32)[None, None]
    repeated = [np.ascontiguousarray(x.repeat(HEADS // KEY_HEADS, axis=2)) for x in (k, v)]
    exact = reference(*(x.transpose(0, 2, 1, 3) for x in (q, *repeated)), mask, SCALE)
    square = _call(name, "square", q, *repeated, mask)
    both = _call(name, "both", q, k, v, positions, np.zeros_like(mask))
    np.testing.assert_array_equal(both, square)
    most = allowed(METHOD, v)
    k[:, -(-(first + length) // 16) * 16 :] = np.nan  # what no row sees is not read
    v[:, -(-(first + length) // 16) * 16 :] = np.nan
    plain = _call(name, "plain", q, k, v, positions)
    assert np.abs(plain.transpose(0, 2, 1, 3) - exact).max() <= most
    if (length, keys, first) in STATIC:
        static = _call(name, f"static_{length}_{keys}_{first}", q, k, v, positions)
        np.testing.assert_array_equal(static, plain)


def test_positions_are_any_numbers():
    q, k, v = _operands(4, 40)
    positions = np.array([-(2**63), -1, 2**63 - 1, 39])
    result = _call("native", "plain", q, k, v, positions)
    np.testing.assert_array_equal(result[:, :2], 0)
    last = _call("native", "plain", np.ascontiguousarray(q[:, 2:]), k, v, positions[[3, 3]])
    np.testing.assert_array_equal(result[:, 2:], last)


def test_each_row_has_its_own_position():
    q, k, v = _operands(20, 100)
    positions = np.random.default_rng(0).permutation(100)[:20]
    together = _call("native", "plain", q, k, v, positions)
    for i in range(20):
        one = np.ascontiguousarray(q[:, i : i + 1])
        alone = _call("native", "plain", one, k, v, positions[i : i + 1])
        np.testing.assert_array_equal(together[:, i : i + 1], alone)


@pytest.mark.parametrize("name", _kernels(["native", "x86-64-v3"]))
@pytest.mark.parametrize("keys", [1, 5, 16, 40, 1030, 2100])
@pytest.mark.parametrize("function", ["plain", "both", "square"])
def test_one_position_has_the_bits_of_several(function, keys, name):
    q, k, v = _operands(3, keys)
    if function == "square":
        k, v = (np.ascontiguousarray(x.repeat(HEADS // KEY_HEADS, axis=2)) for x in (k, v))
    positions = np.array([0, keys // 2, keys - 1])
    given = [positions] * (function != "square")
    mask = np.random.default_rng(keys).normal(size=(1, 1, 3, keys)).astype(np.float32)
    given += [mask] * (function != "plain")
    several = _call(name, function, q, k, v, *given)
    for i in range(3):
        own = [
            np.ascontiguousarray(x[i : i + 1] if x.ndim == 1 else x[:, :, i : i + 1]) for x in given
        ]
        alone = _call(name, function, np.ascontiguousarray(q[:, i : i + 1]), k, v, *own)
        np.testing.assert_array_equal(alone, several[:, i : i + 1])


@pytest.mark.parametrize("group", [1, 5, 40])
def test_one_position_of_groups_of_any_size(group):
    """More heads than a register tile has rows are several blocks."""
    length, keys = te.var("l", dtype="int64"), 70
    made = _function(2 * group, 2, length, keys, "native", True, 0)
    name = target("native")
    library = tvm.compile(tvm.IRModule({"f": made.with_attr("global_symbol", "f")}), target=name)
    rng = np.random.default_rng(group)
    q = rng.normal(size=(1, 2, 2 * group, FEATURES)).astype(np.float32)
    k, v = rng.normal(size=(2, 1, keys, 2, FEATURES)).astype(np.float32)
    found = []
    for n in (2, 1):
        out = tvm.runtime.empty((1, n, *q.shape[2:]), "float32")
        given = [np.ascontiguousarray(q[:, :n]), k, v, np.full(n, 66)]
        library["f"](*map(tvm.runtime.tensor, given), out)
        found.append(out.numpy()[:, :1])
    np.testing.assert_array_equal(*found)
