"""Transposes change places with pads and cancel those before."""

import tvm
from tvm import relax

from quake_tvm.passes.relax.lift_transposes import LiftTransposes
from tests.helpers import module, once

op, nn = relax.op, relax.op.nn
LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
X = (1, 2, 3, 4)


def check(before, expected):
    after = LiftTransposes()(module(before, X))
    tvm.ir.assert_structural_equal(after, module(expected, X))


def test_a_transpose_behind_a_pad():
    check(
        lambda x: op.permute_dims(once(nn.pad(x, [0, 0, 1, 2, 3, 4, 5, 6], pad_value=7)), LAST),
        lambda x: nn.pad(once(op.permute_dims(x, LAST)), [0, 0, 3, 4, 5, 6, 1, 2], pad_value=7),
    )


def test_it_cancels_the_one_before():
    def before(x):
        y = once(op.permute_dims(once(nn.relu(x)), FIRST))
        return nn.relu(once(op.permute_dims(once(nn.pad(y, [0, 0, 0, 0, 1, 1, 1, 1])), LAST)))

    check(before, lambda x: nn.relu(once(nn.pad(once(nn.relu(x)), [0, 0, 1, 1, 1, 1, 0, 0]))))


def test_two_transposes_become_one():
    check(
        lambda x: op.permute_dims(once(op.permute_dims(x, LAST)), LAST),
        lambda x: op.permute_dims(x, FIRST),
    )


def test_other_modes_keep_their_mode():
    check(
        lambda x: op.permute_dims(once(nn.pad(x, [0, 0, 1, 1, 0, 0, 0, 0], "reflect")), LAST),
        lambda x: nn.pad(once(op.permute_dims(x, LAST)), [0, 0, 0, 0, 0, 0, 1, 1], "reflect"),
    )
