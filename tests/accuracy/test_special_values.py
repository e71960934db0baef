"""The page of special values shows the library's results, and explains all differences."""

from functools import cache

import numpy as np
import pytest

from quake_tvm.accuracy import special_values
from quake_tvm.accuracy.special_cases import CASES


def written() -> dict[str, list[str]]:
    """The page's rows: the cells of each case by its name."""
    names = {case.name for case in CASES}
    cells = [line[2:-2].split(" | ") for line in special_values.PAGE.read_text().splitlines()]
    return {name: [c.strip() for c in rest] for name, *rest in cells if name in names}


PAGE = written()
ours = cache(special_values.ours)


def test_page_has_every_case():
    assert set(PAGE) == {case.name for case in CASES}


@pytest.mark.parametrize("method", ["exact", special_values.RUNG])
def test_library_gives_what_the_page_says(method):
    found, exact = ours(method), ours("exact")
    for case in CASES:
        row = {"exact": exact[case.name], method: found[case.name]}
        column = 0 if method == "exact" else 1
        assert special_values.cell(row, method) == PAGE[case.name][column], case.name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_difference_is_explained(case):
    rung, *others, why = PAGE[case.name][1:]
    assert bool(case.rung) == (rung != "same")
    assert bool(case.why) == any(cell not in ("same", "-") for cell in others)
    assert why == "; ".join(filter(None, (case.why, case.rung)))


def test_zeros_and_nan_are_told_apart():
    a = np.float32([np.nan, 0.0, -0.0, 1.0, 1e-40, np.inf])
    b = np.float32([np.nan, -0.0, -0.0, 1.001, 0.0, -np.inf])
    assert list(special_values.differs(a, b)) == [False, True, False, False, True, True]
