"""Convolutions by Winograd's algorithm have the same bits on emulated machines as here."""

import functools

import numpy as np
import pytest
from tvm import te, topi

from quake_tvm.emulation import kernel
from tests.emulation import machines
from tests.schedules.kernels import random_inputs, winograd


@functools.cache
def result(name: str, paired: bool) -> np.ndarray:
    """The result on a machine."""
    on = machines.emulated(name)
    inputs, y, given, _ = winograd((2, 9, 7, 20), 36, width=16, paired=paired)
    function = te.create_prim_func([*inputs, topi.nn.relu(y)])
    call = kernel.Call("convolution", random_inputs(inputs, given), [((2, 9, 7, 36), "float32")])
    return machines.run({"convolution": function}, [call], on)[0]


@pytest.mark.parametrize(
    ("name", "paired"),
    [("x86-64-v3", False), ("cortex-a72", False), ("x86-64-v3", True), ("neoverse-v1", True)],
)
def test_same_bits(name, paired):
    np.testing.assert_array_equal(result("native", paired), result(name, paired))
