"""Extents as text: names as the model has them, and expressions of them."""

import pytest
from tvm import tirx

from quake_tvm.kernels.extent_size import extent_size


@pytest.mark.parametrize("name", ["length", "T", "R", "I", "cls", "max"])
def test_a_name_stays_as_it_is(name):
    n = tirx.Var(name, "int64")
    assert extent_size(n) == name
    assert extent_size(n * 2 + 1) == f"{name} * 2 + 1"
    assert extent_size(tirx.max(n - 3, 0)) == f"max({name} - 3, 0)"


def test_a_number_is_a_number():
    assert extent_size(tirx.IntImm("int64", 7)) == extent_size(7) == 7
