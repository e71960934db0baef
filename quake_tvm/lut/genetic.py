"""GQA-LUT's genetic search for breakpoints, with its mutation that rounds them.

An individual is the breakpoints between the chords of a function. Its fitness is the mean squared
error on a grid of 0.01 with rounded slopes and intercepts. Mutation rounds breakpoints to powers of
two, so that the best individuals stay good when the scale of the input rounds them. Other than in
the paper, the best individual of all generations is kept. Knows no scale.
"""

from dataclasses import dataclass

import numpy as np

from .functions import Function

POPULATION, GENERATIONS, TOURNAMENT = 50, 500, 3
CROSSOVER, MUTATION = 0.7, 0.2
# A mutation rounds a breakpoint to 2^-j, j from 0 to FINEST, each with probability ROUNDING. It
# moves a breakpoint with probability MOVING, by a normal number of this deviation.
ROUNDING, FINEST, MOVING, DEVIATION = 0.05, 6, 0.1, 0.2
GRID = 0.01


@dataclass(frozen=True)
class Chords:
    """The chords of a function between breakpoints.

    Attributes
    ----------
    breakpoints : np.ndarray
        In ascending order.
    slopes, intercepts : np.ndarray
        Integers of 8 bits, in units of 2^-fraction of the function.
    """

    breakpoints: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray


def chords(function: Function, breakpoints: np.ndarray) -> Chords:
    """The chords of a function with rounded slopes and intercepts.

    Parameters
    ----------
    function : Function
    breakpoints : np.ndarray
        (..., n), in ascending order.
    """
    ends = np.broadcast_to(function.ends, (*breakpoints.shape[:-1], 2))
    x = np.concatenate([ends[..., :1], breakpoints, ends[..., 1:]], -1)
    with np.errstate(over="ignore"):  # at the ends
        y = function.of(x)
    width = np.diff(x)
    slopes = np.divide(np.diff(y), width, out=np.zeros_like(width), where=width > 0)
    intercepts = np.where(width > 0, y[..., :-1] - slopes * x[..., :-1], 0.0)
    unit = 2.0**function.fraction
    slopes, intercepts = (np.clip(np.rint(each * unit), -128, 127) for each in (slopes, intercepts))
    return Chords(breakpoints, slopes, intercepts)


def search(function: Function, entries: int, seed: int) -> Chords:
    """The best chords that the search finds.

    Parameters
    ----------
    function : Function
    entries : int
        The number of chords.
    seed : int
        Searches with the same seed have the same result.
    """
    return _Search(function, entries, np.random.default_rng(seed)).run()


def fitness(function: Function, breakpoints: np.ndarray) -> np.ndarray:
    """The mean squared error of chords on the grid, for breakpoints of shape (..., n)."""
    return error_on_grid(function, chords(function, breakpoints))


def error_on_grid(function: Function, lines: Chords) -> np.ndarray:
    """The mean squared error of lines on the grid."""
    x = np.arange(function.low, function.high, GRID)
    entry = (x >= lines.breakpoints[..., None]).sum(-2)
    slope, intercept = (
        np.take_along_axis(each, entry, -1) for each in (lines.slopes, lines.intercepts)
    )
    values = (slope * x + intercept) / 2.0**function.fraction
    return np.mean((values - function.of(x)) ** 2, -1)


class _Search:
    def __init__(self, function: Function, entries: int, rng: np.random.Generator) -> None:
        self.function, self.rng, self.count = function, rng, entries - 1

    def run(self) -> Chords:
        people = np.sort(self.rng.uniform(*self.function.breaks, (POPULATION, self.count)))
        errors = fitness(self.function, people)
        best, least = people[errors.argmin()], errors.min()
        for _ in range(GENERATIONS):
            people = self._changed(self._selected(people, errors))
            errors = fitness(self.function, people)
            if errors.min() < least:
                best, least = people[errors.argmin()].copy(), errors.min()
        return chords(self.function, best)

    def _selected(self, people: np.ndarray, errors: np.ndarray) -> np.ndarray:
        drawn = self.rng.integers(0, POPULATION, (POPULATION, TOURNAMENT))
        return people[drawn[np.arange(POPULATION), errors[drawn].argmin(1)]]

    def _changed(self, people: np.ndarray) -> np.ndarray:
        for k in range(0, POPULATION, 2):
            if self.rng.random() < CROSSOVER:
                first, last = np.sort(self.rng.integers(0, self.count + 1, 2))
                people[k : k + 2, first:last] = people[k : k + 2, first:last][::-1].copy()
        chosen = self.rng.random(POPULATION) < MUTATION
        people[chosen] = self._mutated(people[chosen])
        return np.sort(people)

    def _mutated(self, people: np.ndarray) -> np.ndarray:
        for j in range(FINEST + 1):
            drawn = self.rng.random(people.shape)
            moved = people + self.rng.normal(0, DEVIATION, people.shape)
            near = np.rint(people * 2.0**j) / 2.0**j
            rounds = (drawn >= ROUNDING * j) & (drawn < ROUNDING * (j + 1))
            people = np.where(rounds, near, np.where(drawn >= 1 - MOVING, moved, people))
        return np.clip(people, *self.function.breaks)
