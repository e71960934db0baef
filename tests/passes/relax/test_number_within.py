"""The nearest number of a range: a comparison and a choice behind ConvertLayout, right for NaN."""

import numpy as np
import tvm
from tvm import relax

from quake_tvm.passes.relax.number_within import number_within, spelled_out
from tests.helpers import module, once, run

op = relax.op


def test_a_comparison_and_a_choice():
    def expected(x):
        low = relax.const(-8.0, "float32")
        above = once(op.where(once(op.greater(x, low)), x, low))
        return op.minimum(above, relax.const(7.0, "float32"))

    after = spelled_out(module(lambda x: number_within(x, -8.0, 7.0), (2, 3)))
    tvm.ir.assert_structural_equal(after, module(expected, (2, 3)))


def test_values():
    x = np.float32([[-9, -8, 0.5], [7, np.inf, np.nan]])
    after = spelled_out(module(lambda x: number_within(x, -8.0, 7.0), x.shape))
    np.testing.assert_array_equal(run(after, x), [[-8, -8, 0.5], [7, 7, -8]])


def test_convert_layout_moves_transposes_over_it():
    weights = relax.const(np.ones((4, 3, 1, 1), np.float32))

    def between(x):
        inside = once(number_within(once(op.nn.conv2d(x, weights)), 0.0, 1.0))
        return op.nn.conv2d(inside, relax.const(np.ones((2, 4, 1, 1), np.float32)))

    wanted = {"relax.nn.conv2d": ["NHWC", "OHWI"]}
    after = relax.transform.ConvertLayout(wanted)(module(between, (1, 3, 5, 5)))
    after = relax.transform.FoldConstant()(after)
    assert after.script().count("permute_dims") == 2
