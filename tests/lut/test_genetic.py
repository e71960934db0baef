"""The genetic search: its chords, its mutation, and that a seed gives one result."""

import numpy as np
import pytest

from quake_tvm.lut import genetic
from quake_tvm.lut.functions import FUNCTIONS


def test_chords_meet_the_function() -> None:
    """Chords without rounding join at breakpoints; with it they are within its error."""
    for function in FUNCTIONS.values():
        low, high = function.breaks
        places = np.linspace(low, high, 9)[1:-1]
        lines = genetic.chords(function, places)
        unit = 2.0**function.fraction
        assert np.all(np.abs(lines.slopes) <= 128)
        left = (lines.slopes[:-1] * places + lines.intercepts[:-1]) / unit
        apart = np.abs(left - function.of(places))
        assert np.all(apart <= (0.5 * np.abs(places) + 0.5) / unit + 1e-12), function.name


def test_a_seed_gives_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genetic, "GENERATIONS", 20)
    of = FUNCTIONS["tanh"]
    first, again, other = (genetic.search(of, 8, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.breakpoints, again.breakpoints)
    assert not np.array_equal(first.breakpoints, other.breakpoints)
    assert np.all(np.diff(first.breakpoints) >= 0)


def test_generations_improve(monkeypatch: pytest.MonkeyPatch) -> None:
    of, errors = FUNCTIONS["gelu"], []
    for generations in (0, 10, 100):
        monkeypatch.setattr(genetic, "GENERATIONS", generations)
        errors.append(genetic.fitness(of, genetic.search(of, 8, 0).breakpoints))
    assert errors[2] < errors[1] < errors[0]


def test_breakpoints_are_rounded() -> None:
    """Of many breakpoints, each mutation rounds about as many as its probabilities say."""
    search = genetic._Search(FUNCTIONS["gelu"], 1001, np.random.default_rng(0))
    people = np.random.default_rng(1).uniform(-4, 4, (20, 1000))
    found = search._mutated(people)
    assert np.all(np.abs(found) <= 4)
    for j in (0, 3, 6):
        assert 0.02 < np.mean(found * 2.0**j == np.rint(found * 2.0**j)) < 0.5
