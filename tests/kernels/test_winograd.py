"""Winograd's convolution as loops against float64, and its bits against sums in numpy."""

import numpy as np
import pytest
from tvm import te, topi

from quake_tvm.machines.targets import target
from quake_tvm.numerics import winograd as products
from quake_tvm.numerics.number_formats import FORMATS
from quake_tvm.schedules import RULE, schedule
from tests.numerics.test_winograd import computed
from tests.schedules.kernels import (
    build_and_run,
    numpy_convolution,
    random_inputs,
    winograd,
)


def results(shape, channels, name="native", padding=(1, 1), **options):
    """(result, input, plain weights)."""
    inputs, y, given, plain = winograd(shape, channels, name, padding, **options)
    function = schedule(te.create_prim_func([*inputs, y]), target(name))
    assert function.attrs[RULE] == "winograd"
    arrays = random_inputs(inputs, given)
    return build_and_run(function, arrays, [int(n) for n in y.shape], name), arrays[0], plain


@pytest.mark.parametrize(
    ("channels", "paired"),
    [((16, 16), False), ((17, 35), False), ((40, 64), False), ((16, 16), True), ((18, 35), True)],
)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 6), (11, 13)])
@pytest.mark.parametrize("images", [1, 3])
def test_right(images, size, channels, paired):
    inside, outside = channels
    y, x, w = results((images, *size, inside), outside, paired=paired)
    bound = products.bound(abs(x).max(), w, FORMATS["bfloat16"].rounding if paired else 0.0)
    assert (abs(y - numpy_convolution(x, w, padding=(1, 1))) <= bound).all()


@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (0, 2), (2, 3)])
def test_padding(padding):
    y, x, w = results((2, 6, 9, 16), 16, padding=padding)
    bound = products.bound(abs(x).max(), w)
    assert (abs(y - numpy_convolution(x, w, padding=padding)) <= bound).all()


@pytest.mark.parametrize("paired", [False, True])
def test_bits_are_those_of_sums_in_order(paired):
    y, x, w = results((1, 4, 4, 20), 16, padding=(0, 0), paired=paired)
    np.testing.assert_array_equal(y, computed(x, w, paired))


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("name", ["x86-64-v2", "x86-64-v3"])
def test_bits_do_not_depend_on_the_target(name, paired):
    shape, channels = (2, 7, 9, 24), 48
    here, there = (results(shape, channels, each, paired=paired)[0] for each in ("native", name))
    if name == "x86-64-v2":  # it has no multiply-add
        np.testing.assert_allclose(here, there, atol=1e-4)
    else:
        np.testing.assert_array_equal(here, there)


def test_an_epilogue_that_moves_elements_is_a_stage_of_its_own():
    inputs, y, given, _ = winograd((1, 6, 7, 16), 20)
    moved = topi.transpose(topi.nn.relu(y), (0, 3, 1, 2))
    function = schedule(te.create_prim_func([*inputs, moved]), target("native"))
    assert function.attrs[RULE] == "winograd"
    arrays = random_inputs(inputs, given)
    found = build_and_run(function, arrays, [int(n) for n in moved.shape])
    plain = results((1, 6, 7, 16), 20)[0]
    np.testing.assert_array_equal(found, np.maximum(plain, 0).transpose(0, 3, 1, 2))
