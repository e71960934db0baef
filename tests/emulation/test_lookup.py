"""Look-ups have the same bits on emulated machines as here; z near 0 has the same codes."""

import functools

import numpy as np
import pytest

from quake_tvm.emulation import kernel
from tests.emulation import machines
from tests.kernels.test_lookup import kernel as lookup
from tests.kernels.test_lookup import operands

BITS, FORMS = 4, ("float32", "bfloat16", "int8")


@functools.cache
def results(name: str) -> list[np.ndarray]:
    """The result for each format of the tables on a machine."""
    on, functions, calls = machines.emulated(name), {}, []
    for form in FORMS:
        arrays, _ = operands(5, 21, BITS, 37, form)
        arrays[0][0, ::3] = np.float32([0.0, -0.0, 1e-45, -1e-45] * 7)
        functions[form] = lookup(arrays, BITS, method="quake2")
        calls.append(kernel.Call(form, arrays, [((5, 37), "float32")]))
    return machines.run(functions, calls, on)


@pytest.mark.parametrize("name", ["x86-64-v3", "cortex-a72"])
def test_same_bits(name):
    for here, there in zip(results("native"), results(name), strict=True):
        np.testing.assert_array_equal(here, there)
