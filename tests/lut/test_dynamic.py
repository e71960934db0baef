"""The dynamic programme finds what a search through all tables finds."""

from itertools import combinations, product

import numpy as np
import pytest

from quake_tvm.lut.dynamic import Format, fit

RNG = np.random.default_rng(0)


def least(values: np.ndarray, first: int, entries: int, form: Format) -> float:
    """The least sum of squared errors of all tables."""
    x, n = np.arange(first, first + len(values)), len(values)
    lines = product(*(range(low, high + 1) for low, high in (form.slopes, form.intercepts)))
    each = [(s * x + c * form.unit) / 2**form.shift - values for s, c in lines]
    errors = np.array(each) ** 2
    return min(
        sum(errors[:, a:b].sum(1).min() for a, b in zip((0, *cuts), (*cuts, n), strict=True))
        for count in range(entries)
        for cuts in combinations(range(1, n), count)
    )


@pytest.mark.parametrize("unit", [1, 4])
@pytest.mark.parametrize("first", [-3, 5])
@pytest.mark.parametrize("entries", [1, 2, 3])
def test_no_table_is_better(entries: int, first: int, unit: int) -> None:
    form = Format(2, (-4, 3), (-9, 8), unit)
    for _ in range(20):
        values = RNG.normal(0, 2, 7)
        table = fit(values, first, entries, form)
        x = np.arange(first, first + 7)
        assert len(table.slopes) <= entries
        assert all(c % unit == 0 for c in table.intercepts)
        found = np.sum((table.values(x) - values) ** 2)
        assert found == pytest.approx(least(values, first, entries, form), abs=1e-9)


def test_breakpoints_at_a_stride() -> None:
    values = np.abs(np.arange(-50, 51)) / 2
    table = fit(values, -50, 2, Format(3, (-8, 8), (-100, 100)), stride=25)
    assert table.breakpoints == (0,)
    np.testing.assert_array_equal(table.values(np.arange(-50, 51)), values)
