"""Causal masks and repeated heads become part of the attention; other masks stay."""

import math

import numpy as np
import pytest
from tvm import relax

from quake_tvm.passes.relax.fuse_attention import ATTENTION
from quake_tvm.passes.relax.graph import op_name
from tests.helpers import c, module, once
from tests.passes.relax.test_fuse_attention import calls, fused

nn, op = relax.op.nn, relax.op
ROWS, KEYS, GROUP = 24, 40, 2
Q, KV = (1, 2 * GROUP, ROWS, 32), (1, 2, KEYS, 32)


def repeated(x):
    x = once(op.broadcast_to(once(op.expand_dims(x, 2)), (1, 2, GROUP, KEYS, 32)))
    return once(op.reshape(x, (1, 2 * GROUP, KEYS, 32)))


def attention(q, k, v, mask):
    scores = once(op.matmul(q, once(op.permute_dims(repeated(k), [0, 1, 3, 2]))))
    weights = once(nn.softmax(once(op.add(scores, mask)), axis=-1))
    return op.matmul(weights, repeated(v))


def masked(seen):
    return once(op.where(seen, c(0.0), c(-math.inf)))


def keys():
    return once(op.arange(0, KEYS, 1, "int64"))


def column(positions):
    return once(op.expand_dims(positions, 1))


def of_comparison(q, k, v, positions):
    return attention(q, k, v, masked(once(op.less_equal(keys(), column(positions)))))


def of_reversed_comparison(q, k, v, positions):
    seen = once(op.greater(column(positions), keys()))
    spread = once(op.broadcast_to(seen, (1, 1, ROWS, KEYS)))
    return attention(q, k, v, masked(spread))


def of_constant(q, k, v, _):
    mask = np.where(np.tril(np.ones((ROWS, KEYS), bool), 3), 0, -np.inf)
    return attention(q, k, v, relax.const(mask.astype("float32")))


def _call(formula):
    def given(q, k, v, positions):
        return formula(q, k, v, once(op.astype(positions, "int64")))

    mod = module(given, Q, KV, KV, (ROWS,))
    found = [call for call in calls(fused(mod)) if op_name(call) == ATTENTION]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("formula", [of_comparison, of_reversed_comparison, of_constant])
def test_a_causal_mask_becomes_positions(formula):
    call = _call(formula)
    assert int(call.attrs["causal"]) == 1
    assert [[int(n) for n in a.ty.shape] for a in call.args] == [[*Q], [*KV], [*KV], [ROWS]]
    assert str(call.args[3].ty.dtype) == "int64"


def every_second_key(q, k, v, positions):
    step = once(op.arange(0, 2 * KEYS, 2, "int64"))
    return attention(q, k, v, masked(once(op.less_equal(step, column(positions)))))


def later_keys(q, k, v, positions):
    return attention(q, k, v, masked(once(op.greater_equal(keys(), column(positions)))))


def finite(q, k, v, positions):
    seen = once(op.less_equal(keys(), column(positions)))
    return attention(q, k, v, once(op.where(seen, c(0.0), c(-1e4))))


def constant_with_a_hole(q, k, v, _):
    mask = np.where(np.tril(np.ones((ROWS, KEYS), bool)), 0, -np.inf).astype("float32")
    mask[9, 4] = -np.inf
    return attention(q, k, v, relax.const(mask))


@pytest.mark.parametrize("formula", [every_second_key, later_keys, finite, constant_with_a_hole])
def test_other_masks_stay(formula):
    call = _call(formula)
    assert int(call.attrs["causal"]) == 0
    assert [int(n) for n in call.args[3].ty.shape][-2:] == [ROWS, KEYS]


def of_rows_alone(q, k, v, _):
    mask = np.zeros((ROWS, 1), "float32")
    mask[3] = -np.inf
    return attention(q, k, v, relax.const(mask))


def of_one_number(q, k, v, positions):
    one = once(op.arange(0, 1, 1, "int64"))
    return attention(q, k, v, masked(once(op.less_equal(one, column(positions)))))


def of_a_repeated_number(q, k, v, positions):
    same = once(op.broadcast_to(once(op.arange(0, 1, 1, "int64")), (KEYS,)))
    return attention(q, k, v, masked(once(op.less_equal(same, column(positions)))))


def of_a_number_added_to_zeros(q, k, v, positions):
    zeros = relax.const(np.zeros(KEYS, "int64"), "int64")
    same = once(op.add(once(op.arange(0, 1, 1, "int64")), zeros))
    return attention(q, k, v, masked(once(op.less_equal(same, column(positions)))))


def of_numbers_that_wrap_around(q, k, v, positions):
    numbers = once(op.astype(once(op.astype(keys(), "int8")), "int64"))
    return attention(q, k, v, masked(once(op.less_equal(numbers, column(positions)))))


@pytest.mark.parametrize(
    "formula",
    [
        of_rows_alone,
        of_one_number,
        of_a_repeated_number,
        of_a_number_added_to_zeros,
        of_numbers_that_wrap_around,
    ],
)
def test_masks_whose_keys_are_not_counted_stay(formula):
    assert int(_call(formula).attrs["causal"]) == 0
