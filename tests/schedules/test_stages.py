"""What is computed in front of a stage that moves elements, and how that stage is vectorized."""

import numpy as np
import pytest
import tvm_ffi
from tvm import s_tir, te, topi

from quake_tvm.machines.targets import target
from quake_tvm.schedules import analysis, schedule
from quake_tvm.schedules.tiles import mentions
from quake_tvm.tvm_version import tir
from tests.schedules.kernels import both, convolution, placeholder

COLUMNS = 40


def product(rows):
    a, b = placeholder(rows, 6, name="a"), placeholder(6, COLUMNS, name="b")
    return [a, b], topi.matmul(a, b)


def gated(rows):
    """An image of ``rows`` pixels times the clipped result of a product of one row."""
    inputs, result = product(1)
    image = placeholder(rows, COLUMNS, name="image")
    gate = topi.minimum(topi.maximum(result + 3.0, 0.0), 6.0)
    return [*inputs, image], topi.multiply(image, gate)


def minima(function):
    """For each block that writes to memory, how many minima it computes."""
    found = []

    def see(block):
        if isinstance(block.body, tir.BufferStore) and block.writes[0].source.scope() == "global":
            limits = []
            tvm_ffi.structural_walk(block.body, (tir.Min, limits.append))
            found.append(len(limits))

    tvm_ffi.structural_walk(function.body, (s_tir.SBlock, see))
    return found


def test_what_is_computed_for_each_result_is_computed_in_front_of_what_repeats_it():
    inputs, output = gated(9)
    done = schedule(te.create_prim_func([*inputs, output]), target("native"))
    assert minima(done) == [1, 0]


def test_a_bias_that_is_moved_into_place_does_not_end_the_epilogue():
    """As that of a dynamically quantized convolution, which its kernel reshapes and transposes."""
    inputs, result = product(9)
    bias = placeholder(COLUMNS, name="bias")
    moved = topi.transpose(topi.reshape(topi.negative(bias), (COLUMNS, 1)))
    output = topi.minimum(topi.add(result, moved), 6.0)
    done = schedule(te.create_prim_func([*inputs, bias, output]), target("native"))
    assert minima(done) == [1]
    rule, ours, plain = both([*inputs, bias], output)
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("rows", [1, 9])
def test_a_repeated_result_has_the_bits_of_plain_loops(rows):
    inputs, output = gated(rows)
    rule, ours, plain = both(inputs, output)
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)


def test_what_is_read_again_behind_the_moved_elements_is_not_split_off():
    """The last stage reads the sum and the product, so the product alone is written to memory."""
    inputs, result = product(8)
    shifted = topi.add(result, te.placeholder((COLUMNS,), name="bias"))
    output = topi.add(topi.transpose(shifted), topi.transpose(result))
    inputs = [*inputs, shifted.op.input_tensors[1]]
    done = schedule(te.create_prim_func([*inputs, output]), target("native"))
    assert mentions(done.body, s_tir.SBlock, lambda block: block.name_hint == "T_matmul_local")
    rule, ours, plain = both(inputs, output)
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)


def test_the_last_vector_of_a_stage_overlaps_the_one_before():
    """40 columns are two vectors of 16 and one that starts at column 24: no scalar loop."""
    inputs, output = gated(9)
    done = schedule(te.create_prim_func([*inputs, output]), target("x86-64-v4"))
    assert not mentions(done.body, tir.For, lambda loop: analysis.PARTITION in loop.annotations)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [5, 14])
def test_a_row_of_short_pixels_is_padded_in_one_loop(channels, size):
    """Of 14 pixels and two for the padding, 48 numbers, whole vectors; of 5, other ones."""
    (x, w), y, *_ = convolution((1, 4, size, channels), 16, 3, strides=2, padding=(1, 1))
    done = schedule(te.create_prim_func([x, w, y]), target("native"))
    loops = []
    tvm_ffi.structural_walk(done.body, (tir.For, loops.append))
    peeled = [int(loop.extent) for loop in loops if analysis.PEELED in loop.annotations]
    assert peeled == [(size + 2) * channels]
    rule, ours, plain = both([x, w], y)
    assert rule == "matmul"
    np.testing.assert_array_equal(ours, plain)
