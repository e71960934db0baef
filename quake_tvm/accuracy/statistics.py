"""A compiled pass over results and exact values that computes the errors' maxima, sums and counts.

Numpy would need a dozen passes, and for 2^32 inputs on five rungs a day instead of minutes. Knows
no operator.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import te

from ..kernels import rows
from ..tvm_version import Expr, Stmt, alloc, nest, tir
from .float32_inputs import FLT_MAX, SMALLEST_NORMAL
from .standalone import build

LANES = 16
# Histogram bins of errors in ulp: below 1, in [1, 2), in [2, 4), ...; the last bin has all larger
# errors.
BINS = 32
# From this exact value on, a result may overflow early.
NEARLY_INFINITE = FLT_MAX * (1 - 2.0**-5)
# Measures, which have a maximum and a sum.
MEASURES = ("relative", "absolute", "ulp", "fall")
# Counts.
COUNTS = ("finite", "falls", "sign", "range", "nan", "early", "late")
_ROWS = 2 * len(MEASURES) + len(COUNTS)


@dataclass(frozen=True)
class Limits:
    """What results are compared with.

    Attributes
    ----------
    absolute : float
        The absolute term of the error contract.
    low, high : float
        The range of the exact function.
    direction : int
        1 if results must not fall along the inputs, -1 if they must not rise, 0 if both are
        allowed.
    """

    absolute: float
    low: float = -math.inf
    high: float = math.inf
    direction: int = 0

    def array(self) -> np.ndarray:
        """The limits as an array for the compiled pass."""
        return np.array([self.absolute, self.low, self.high, self.direction], np.float64)


def _wide(value: float) -> Expr:
    return tir.const(value, "float64")


def _terms(q: Expr, before: Expr, y: Expr, limits: Callable[[int], Expr]) -> dict[str, Expr]:
    """All measures and counts of one result q, from the result before it and the exact value y."""
    absolute, low, high, direction = (limits(k) for k in range(4))
    infinite, largest, zero, one = (_wide(v) for v in (math.inf, FLT_MAX, 0, 1))
    result, size = q.astype("float64"), tir.abs(y)
    finite = size <= largest
    overflow = tir.abs(result) > largest
    early = tir.all(tir.abs(result) == infinite, finite, size > _wide(NEARLY_INFINITE))
    rounded = y.astype("float32").astype("float64")
    exponent = tir.reinterpret("int64", rounded) & tir.const(0x7FF << 52, "int64")
    power = tir.reinterpret("float64", exponent)
    ulp = tir.max(power, _wide(SMALLEST_NORMAL)) * _wide(2.0**-23)

    def number(value: Expr) -> Expr:
        return tir.abs(value) <= infinite  # false for NaN

    def distance(exact: Expr) -> Expr:
        apart = tir.abs(result - exact)
        return tir.Select(number(result), apart, infinite)

    def counted(value: Expr) -> Expr:
        return tir.Select(tir.all(finite, tir.Not(early)), value, zero)

    def beyond_absolute(value: Expr) -> Expr:
        return tir.max(zero, value - absolute)

    def count(condition: Expr) -> Expr:
        return tir.Select(condition, one, zero)

    fall = (before.astype("float64") - result) * direction
    opposite = tir.any(tir.all(result < zero, y > zero), tir.all(result > zero, y < zero))
    return {
        "relative": counted(beyond_absolute(distance(y)) / tir.max(size, _wide(1e-300))),
        "absolute": counted(distance(y)),
        "ulp": counted(beyond_absolute(distance(rounded)) / ulp),
        "fall": tir.Select(fall > zero, fall / ulp, zero),
        "finite": count(tir.all(finite, tir.Not(early))),
        "falls": count(fall > zero),
        "sign": count(opposite),
        "range": count(tir.any(result < low, result > high)),
        "nan": tir.abs(count(number(result)) - count(number(y))),
        "early": count(early),
        "late": count(tir.all(size > largest, tir.Not(overflow))),
    }


def _bin(ulp: Expr) -> Expr:
    exponent = (tir.reinterpret("int64", ulp) >> 52).astype("int32") - tir.const(1022, "int32")
    return tir.min(tir.const(BINS - 1, "int32"), tir.max(tir.const(0, "int32"), exponent))


def _pass(y: tir.Buffer, q: tir.Buffer, limits: tir.Buffer, out: tir.Buffer) -> Stmt:
    """Write maxima, sums and counts per lane to rows of ``out``, the histogram below them."""
    # Separate buffers, so that they stay in registers.
    kept = [rows.local(LANES, "float64") for _ in range(_ROWS)]
    places = rows.local(LANES, "int32")

    def vector(body: Callable[[Expr], Stmt]) -> Stmt:
        return rows.loop(LANES, body, tir.ForKind.VECTORIZED)

    def clear(row: Expr) -> Stmt:
        return vector(lambda lane: tir.BufferStore(out, _wide(0), [row, lane]))

    def step(chunk: Expr) -> Stmt:
        start = chunk * LANES

        def terms(lane: Expr) -> dict[str, Expr]:
            i = start + lane
            return _terms(q[i + 1], q[i], y[i], lambda k: limits[k])

        def keep(row: int, name: str, combine: Callable[[Expr, Expr], Expr]) -> Stmt:
            def store(lane: Expr) -> Stmt:
                value = combine(kept[row][lane], terms(lane)[name])
                return tir.BufferStore(kept[row], value, [lane])

            return vector(store)

        def add(a: Expr, b: Expr) -> Expr:
            return a + b

        def place(lane: Expr) -> Stmt:
            found = terms(lane)
            counted = tir.Select(found["finite"] > _wide(0), _bin(found["ulp"]), BINS)
            return tir.BufferStore(places, counted, [lane])

        def increase(lane: Expr) -> Stmt:
            row = places[lane] + _ROWS
            return tir.BufferStore(out, out[row, lane] + _wide(1), [row, lane])

        steps = [vector(place)]
        for n, name in enumerate(MEASURES):
            steps += [keep(2 * n, name, tir.max), keep(2 * n + 1, name, add)]
        steps += [keep(2 * len(MEASURES) + n, name, add) for n, name in enumerate(COUNTS)]
        return rows.sequence(*steps, rows.loop(LANES, increase))

    def begin(sums: tir.Buffer) -> Stmt:
        return vector(lambda lane: tir.BufferStore(sums, _wide(0), [lane]))

    def end(row: int, sums: tir.Buffer) -> Stmt:
        return vector(lambda lane: tir.BufferStore(out, sums[lane], [row, lane]))

    return nest(
        rows.sequence(
            *map(alloc, (*kept, places)),
            *map(begin, kept),
            rows.loop(_ROWS + BINS + 1, clear),
            rows.loop(y.shape[0] // LANES, step),
            *(end(row, sums) for row, sums in enumerate(kept)),
        )
    )


class Statistics:
    """The compiled pass.

    *relative* and *ulp* are errors after subtracting the absolute term: *relative* in units of the
    exact value, *ulp* in units of the last place of the exact value rounded to float32 (for
    subnormal values that of the smallest normal one). *absolute* is the error itself. All cover the
    inputs whose exact value is finite in float32, except those where the result overflows *early*,
    less than a 32nd before the exact value does. A *fall* is the distance in ulp to a larger result
    before it. NaN instead of a number counts as an infinite error.

    Parameters
    ----------
    target : tvm.target.Target
        Must run on this machine.
    """

    def __init__(self, target: tvm.target.Target) -> None:
        n = te.var("n", dtype="int64")
        y, q = te.placeholder((n,), "float64", name="y"), te.placeholder((n + 1,), name="q")
        limits = te.placeholder((4,), "float64", name="limits")
        found = te.extern(
            [(_ROWS + BINS + 1, LANES)],
            [y, q, limits],
            lambda ins, outs: _pass(*ins, *outs),
            name="statistics",
            dtype="float64",
        )
        self._pass = build([y, q, limits], found, target)

        def measure(name: str) -> te.Tensor:
            return te.compute(
                (n,), lambda i: _terms(q[i + 1], q[i], y[i], lambda k: limits[k])[name], name=name
            )

        self._measures = {name: build([y, q, limits], measure(name), target) for name in MEASURES}

    def __call__(
        self, y: np.ndarray, q: np.ndarray, limits: Limits
    ) -> tuple[dict[str, float], dict[str, float], dict[str, int], tuple[int, ...]]:
        """Maxima and sums of the measures, counts, and the number of inputs in each bin of ulp.

        Parameters
        ----------
        y : np.ndarray of float64
            (n,): exact values.
        q : np.ndarray of float32
            (n + 1,): the result before the first, then the results for y.
        limits : Limits
        """
        missing = -len(y) % LANES
        if missing:
            y, q = (np.append(a, np.full(missing, np.nan, a.dtype)) for a in (y, q))
        found = self._pass(y, q, limits.array())
        measured, counted, bins = np.split(found, [2 * len(MEASURES), _ROWS])
        return (
            dict(zip(MEASURES, measured[0::2].max(axis=1).tolist(), strict=True)),
            dict(zip(MEASURES, measured[1::2].sum(axis=1).tolist(), strict=True)),
            dict(zip(COUNTS, map(int, counted.sum(axis=1)), strict=True)),
            tuple(map(int, bins[:BINS].sum(axis=1))),
        )

    def measure(self, name: str, y: np.ndarray, q: np.ndarray, limits: Limits) -> np.ndarray:
        """One measure of every result, by the same formula.

        Parameters
        ----------
        name : str
            One of ``MEASURES``.
        y, q, limits
            As for calling the pass.

        Returns
        -------
        np.ndarray of float64
            (n,).
        """
        return self._measures[name](y, q, limits.array())


_COMPILED: dict[str, Statistics] = {}


def statistics(target: tvm.target.Target) -> Statistics:
    """The pass for a target, compiled once: it is the same for all operators."""
    key = str(target)
    if key not in _COMPILED:
        _COMPILED[key] = Statistics(target)
    return _COMPILED[key]
