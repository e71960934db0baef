"""Reductions along rows of symbolic number or length: the bits of the plain loops."""

import numpy as np
import pytest
from tvm import topi

from tests.schedules.symbolic import SIZES, Symbolic, mixed, sized, variables

FORMULAS = {
    "sum": lambda x: topi.sum(x, axis=-1),
    "sum that keeps the axis": lambda x: topi.sum(x, axis=-1, keepdims=True),
    "largest, tanh": lambda x: topi.tanh(topi.max(x, axis=-1)),
    "place of the largest": lambda x: topi.argmax(x, axis=-1),
}


@pytest.mark.parametrize("name", ["x86-64-v3", "native"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_unknown_rows_and_length(formula, name):
    m, n = variables("mn")
    x = sized(m, n)
    kernel = Symbolic([m, n], [x], FORMULAS[formula](x), name)
    assert kernel.rule == "reduction"
    kernel.check(sizes for sizes in mixed(2, (0, *SIZES)) if sizes[1])


@pytest.mark.parametrize("shape", [("m", 12, 9), (12, "m"), ("m", 1, 7), ("b", "m", 5)], ids=str)
def test_some_extents_unknown(shape):
    names = "".join(n for n in shape if isinstance(n, str))
    extents = dict(zip(names, variables(names), strict=True))
    x = sized(*(extents.get(n, n) for n in shape))
    kernel = Symbolic(list(extents.values()), [x], FORMULAS["sum"](x))
    assert kernel.rule == "reduction"
    kernel.check(mixed(len(names)))


def test_sum_of_nothing_is_zero():
    m, n = variables("mn")
    x = sized(m, n)
    kernel = Symbolic([m, n], [x], FORMULAS["sum"](x))
    for rows in (1, 4, 17):
        np.testing.assert_array_equal(kernel.run("ours", (rows, 0))[0], np.zeros(rows))
