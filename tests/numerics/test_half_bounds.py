"""The bounds in half precision, over every input of the formats."""

import pytest

from quake_tvm.accuracy import halves
from quake_tvm.machines.targets import target
from quake_tvm.numerics import half_bounds
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.number_formats import FORMATS, HALVES
from quake_tvm.numerics.operators import OPERATORS, bound

ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]


@pytest.mark.parametrize("dtype", sorted(HALVES))
@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_every_input(operator: str, dtype: str) -> None:
    for method, found in halves.measure(operator, dtype, target()).items():
        assert not found.wrong
        assert found.bound == bound(operator, method, dtype)
        assert found.hash == half_bounds.of(operator, method, dtype)["hash"]


@pytest.mark.parametrize("dtype", sorted(HALVES))
@pytest.mark.parametrize("operator", OPERATORS)
def test_rounding_adds_at_most_half_an_ulp(operator: str, dtype: str) -> None:
    form = FORMATS[dtype]
    for method in METHODS:
        single, half = bound(operator, method), bound(operator, method, dtype)
        slack = 1.01  # bounds have three digits
        most = single.relative * (1 + form.rounding) + form.rounding
        assert half.relative <= slack * most
        assert single.absolute <= half.absolute <= slack * single.absolute + form.least
