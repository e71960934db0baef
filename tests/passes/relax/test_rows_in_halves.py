"""Operators over rows take the casts around them."""

import pytest
import tvm
from tvm import relax

from quake_tvm.passes.dialect import call
from quake_tvm.passes.relax.rows_in_halves import RowsInHalves
from tests.helpers import module, once

op = relax.op
HALVES = ["float16", "bfloat16"]


def softmax(x, *more):
    options = {"method": "quake2", "ieee": True, "source": "", "shape": "", "scale": 1.0}
    return call("softmax", x, *more, axis=1, **options)


def assert_becomes(before, expected, dtype):
    found = RowsInHalves()(module(before, (5, 24), dtype=dtype))
    tvm.ir.assert_structural_equal(found, module(expected, (5, 24), dtype=dtype))


@pytest.mark.parametrize("dtype", HALVES)
def test_both_casts(dtype):
    assert_becomes(lambda x: op.astype(softmax(op.astype(x, "float32")), dtype), softmax, dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_mask_stays(dtype):
    mask = relax.const([1.0] * 24, "float32")
    assert_becomes(
        lambda x: op.astype(softmax(op.astype(x, "float32"), mask), dtype),
        lambda x: softmax(x, mask),
        dtype,
    )


def unchanged(build, dtype):
    assert_becomes(build, build, dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_one_cast_stays(dtype):
    unchanged(lambda x: softmax(op.astype(x, "float32")), dtype)
    unchanged(lambda x: op.astype(softmax(x), dtype), "float32")


def test_another_format_stays():
    unchanged(lambda x: op.astype(softmax(op.astype(x, "float32")), "bfloat16"), "float16")


@pytest.mark.parametrize("dtype", HALVES)
def test_a_result_that_is_needed_in_float32_too_stays(dtype):
    def build(x):
        result = once(softmax(op.astype(x, "float32")))
        return op.astype(result, dtype), result

    unchanged(build, dtype)
