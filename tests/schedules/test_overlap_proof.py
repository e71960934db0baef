"""What is claimed of a tile holds wherever the tile starts."""

import tvm

from quake_tvm.schedules.overlap_proof import Tile
from quake_tvm.tvm_version import tir


def below(value, end):
    """Whether a value is less than an end wherever a tile of 16 of 20 columns starts."""
    start, known = tir.Var("start", "int64"), tvm.sym.Analyzer()
    tile = Tile(start, 16, tir.const(20, "int64"), ())
    known.bind(start, tvm.ir.Range(0, 5))
    return tile.below(value(start), tir.const(end, "int64"), known)


def test_value_that_grows_with_the_start_is_largest_in_the_last_tile():
    assert below(lambda start: start + 15, 20)
    assert not below(lambda start: start + 15, 19)


def test_value_that_also_shrinks_with_the_start_may_be_largest_in_the_first_tile():
    assert not below(lambda start: start + start * -2 + 12, 10)
    assert below(lambda start: start + start * -2 + 12, 13)
