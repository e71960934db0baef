"""The kept tables: made again they are the same, and they are as good as the page says."""

import numpy as np
import pytest

from quake_tvm import QuakeError
from quake_tvm.lut import genetic, records, scaled
from quake_tvm.lut.functions import FUNCTIONS
from quake_tvm.lut.published import published

CASES = [(name, entries) for name in FUNCTIONS for entries in records.ENTRIES]


@pytest.mark.parametrize(("name", "entries"), CASES)
def test_the_best_tables_are_found_again(name: str, entries: int) -> None:
    of, kept = FUNCTIONS[name], records.record(name, entries)
    for exponent, table in zip(scaled.EXPONENTS, kept.best, strict=True):
        assert scaled.best(of, entries, exponent) == table
    assert genetic.fitness(of, kept.chords.breakpoints) == pytest.approx(kept.fitness)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "entries"), CASES)
def test_the_genetic_search_is_repeated(name: str, entries: int) -> None:
    kept = records.record(name, entries)
    found = genetic.search(FUNCTIONS[name], entries, kept.seed)
    for field, values in vars(found).items():
        np.testing.assert_array_equal(values, getattr(kept.chords, field), field)


@pytest.mark.parametrize(("name", "entries"), CASES)
def test_no_scale_is_better_with_the_genetic_search(name: str, entries: int) -> None:
    of, kept = FUNCTIONS[name], records.record(name, entries)
    tables = zip(scaled.EXPONENTS, kept.best, kept.genetic(), strict=True)
    for exponent, best, other in tables:
        found = scaled.measured(of, best, exponent).mse
        assert found <= scaled.measured(of, other, exponent).mse + 1e-12


@pytest.mark.parametrize(("name", "entries"), published())
def test_published_tables(name: str, entries: int) -> None:
    """The genetic search is at least as good as the published tables, the best five times."""
    of, kept, other = FUNCTIONS[name], records.record(name, entries), published()[name, entries]
    assert kept.fitness <= other.fitness
    assert scaled.mean_error(of, kept.best) <= other.mean / 5


def test_what_has_no_record() -> None:
    with pytest.raises(QuakeError, match="choose from: gelu"):
        records.record("sine", 8)
    with pytest.raises(QuakeError, match="8 or 16 entries, not 9"):
        records.record("gelu", 9)
