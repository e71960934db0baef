"""Derivation of every polynomial of :mod:`quake_tvm.numerics.ladder`.

``python -m quake_tvm.numerics.derivation`` computes the polynomials with the Remez exchange
(float64, numpy and the standard library only) and prints the tables of ``ladder.py``. A test
compares the printed tables with ``ladder.py``. Knows no TVM and no operator: it fits functions on
intervals.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev, polynomial

from quake_tvm.numerics.ladder import ERF_SWITCH, ERFCX_CENTER, EXPM1_SWITCH, METHODS, TANH_SWITCH

Function = Callable[[np.ndarray], np.ndarray]

# GELU's tail is fitted with relative error down to this value and with absolute error below it.
ERFCX_FLOOR = 1e-3


def remez(target: Function, weight: Function, low: float, high: float, degree: int) -> np.ndarray:
    """Minimax polynomial by the Remez exchange.

    Parameters
    ----------
    target, weight : functions of a float64 array
        The polynomial p minimises ``max |weight * (p - target)|`` over [low, high].
    low, high : float
        The ends of the interval.
    degree : int
        Degree of p, at least 0.

    Returns
    -------
    numpy.ndarray
        ``degree + 1`` float64 coefficients, lowest power first.

    Source: E. Remez, *Sur le calcul effectif des polynomes d'approximation de Tchebychef*, 1934.
    """
    points = 20001
    t = -np.cos(np.pi * np.arange(points) / (points - 1))
    grid = (low + high) / 2 + (high - low) / 2 * t
    goal, scale = target(grid), weight(grid)
    basis = chebyshev.chebvander(t, degree)
    count = degree + 2
    # The extrema of the Chebyshev polynomial are the usual first reference.
    nodes = -np.cos(np.pi * np.arange(count) / (count - 1))
    reference = np.searchsorted(t, nodes).clip(0, points - 1)
    sign = (-1.0) ** np.arange(count)
    for _ in range(100):
        system = np.column_stack([basis[reference], sign / scale[reference]])
        fit = np.linalg.solve(system, goal[reference])[:-1]
        error = scale * (basis @ fit - goal)
        extrema = _alternation(error, count)
        if np.max(np.abs(error)) <= np.min(np.abs(error[extrema])) * (1 + 1e-9):
            break
        reference = extrema
    # From Chebyshev polynomials in t to powers of the argument.
    shift = [-(low + high) / (high - low), 2 / (high - low)]
    power, result = np.array([1.0]), np.zeros(degree + 1)
    for c in chebyshev.cheb2poly(fit):
        result[: len(power)] += c * power
        power = polynomial.polymul(power, shift)[: degree + 1]
    return result


def _alternation(error: np.ndarray, count: int) -> np.ndarray:
    """Indices of the ``count`` largest extrema of ``error`` that alternate in sign."""
    runs = np.split(np.arange(len(error)), np.flatnonzero(np.diff(np.sign(error))) + 1)
    extrema = [run[np.argmax(np.abs(error[run]))] for run in runs]
    while len(extrema) > count:
        if len(extrema) == count + 1:
            extrema.pop(0 if abs(error[extrema[0]]) < abs(error[extrema[-1]]) else -1)
            continue
        smallest = int(np.argmin(np.abs(error[extrema])))
        if smallest in (0, len(extrema) - 1):
            extrema.pop(smallest)
        else:  # the two neighbours have the same sign: keep the larger one
            left, right = abs(error[extrema[smallest - 1]]), abs(error[extrema[smallest + 1]])
            drop = smallest - 1 if left < right else smallest + 1
            for place in sorted((smallest, drop), reverse=True):
                extrema.pop(place)
    return np.array(extrema)


def _series(x: np.ndarray, closed: Function, terms: list[float]) -> np.ndarray:
    """``closed(x)``, or its Taylor series where |x| is too small for the closed form."""
    small = np.abs(x) < 1e-4
    return np.where(small, polynomial.polyval(x, terms), closed(np.where(small, 1.0, x)))


def exp2(method: str) -> np.ndarray:
    """2^f on [0, 1], with p(0) = 1 and p(1) = 2 up to scaling, so that the pieces join.

    quake1 is 1 + f. quake2 is 1 + 2f/3 + f^2/3, whose slope is continuous too. Both are scaled to
    balance the error about zero, as in QuAKE (arXiv 2412.00408). quake3 and up are the minimax 1 +
    f + f(1-f)q(f). They are not scaled, so they are exact at every power of two.
    """
    degree = METHODS.index(method) + 1
    if degree <= 2:
        p = np.array([1.0, 1.0]) if degree == 1 else np.array([1.0, 2 / 3, 1 / 3])
        f = np.linspace(0, 1, 1_000_001)
        ratio = polynomial.polyval(f, p) / 2.0**f
        return p * 2 / (ratio.max() + ratio.min())
    log2 = math.log(2)
    # q has removable poles at both ends. The points are clipped to just inside the interval; f(1-f)
    # is symmetric.
    inside = lambda f: f.clip(1e-7, 1 - 1e-7)  # noqa: E731
    q = remez(
        lambda f: (2.0 ** inside(f) - 1 - inside(f)) / (inside(f) * (1 - inside(f))),
        lambda f: inside(f) * (1 - inside(f)) * np.exp(-log2 * f),
        0.0,
        1.0,
        degree - 2,
    )
    return polynomial.polyadd([1.0, 1.0], polynomial.polymul([0.0, 1.0, -1.0], q))


def expm1(degree: int) -> np.ndarray:
    """(e^x - 1)/x on [EXPM1_SWITCH, 0], fitted with relative error."""
    f = lambda x: _series(x, lambda x: np.expm1(x) / x, [1, 1 / 2, 1 / 6, 1 / 24])  # noqa: E731
    return remez(f, lambda x: 1 / f(x), EXPM1_SWITCH, 0.0, degree)


def log1p(degree: int) -> np.ndarray:
    """log(1 + u)/u on [0, 1], fitted with relative error.

    p(0) = 1, so that softplus has the same relative error as exp where exp is small.
    """
    f = lambda u: _series(u, lambda u: np.log1p(u) / u, [1, -1 / 2, 1 / 3, -1 / 4])  # noqa: E731
    g = lambda u: _series(u, lambda u: (np.log1p(u) / u - 1) / u, [-1 / 2, 1 / 3, -1 / 4])  # noqa: E731
    q = remez(g, lambda u: np.maximum(u, 1e-6) / f(u), 0.0, 1.0, degree - 1)
    return np.concatenate([[1.0], q])


def _odd(name: str, switch: float, slope: float, degree: int) -> np.ndarray:
    function = np.vectorize(getattr(math, name))

    def f(y: np.ndarray) -> np.ndarray:
        x = np.sqrt(y)
        return np.where(x < 1e-6, slope, function(x) / np.where(x == 0, 1.0, x))

    return remez(f, lambda y: 1 / f(y), 0.0, switch**2, degree)


def tanh(degree: int) -> np.ndarray:
    """tanh(x)/x as a polynomial in x^2 on [0, TANH_SWITCH^2], fitted with relative error."""
    return _odd("tanh", TANH_SWITCH, 1.0, degree)


def tanh_whole(degree: int) -> np.ndarray:
    """tanh(x)/x as a polynomial in x^2, fitted with relative error up to the x where p(x^2) x = 1.

    ``degree`` must be even. Beyond that x the product p(x^2) x exceeds 1. Clamped to 1, the product
    has the same largest error everywhere.
    """
    low, high = 1.0, 6.0
    for _ in range(50):
        reach = (low + high) / 2
        fit = _odd("tanh", reach, 1.0, degree)
        low, high = (reach, high) if polynomial.polyval(reach**2, fit) * reach < 1 else (low, reach)
    return fit


def erf(degree: int) -> np.ndarray:
    """erf(x)/x as a polynomial in x^2 on [0, ERF_SWITCH^2], fitted with relative error."""
    return _odd("erf", ERF_SWITCH, 2 / math.sqrt(math.pi), degree)


def _erfcx(u: float) -> float:
    """exp(u^2) erfc(u) for u >= 0: the product for u < 4, Laplace's continued fraction beyond."""
    if u < 4:
        return math.exp(u * u) * math.erfc(u)
    tail = u
    for k in range(60, 0, -1):
        tail = u + k / 2 / tail
    return 1 / (tail * math.sqrt(math.pi))


def erfcx(degree: int) -> np.ndarray:
    """exp(u^2) erfc(u) in powers of u - ERFCX_CENTER on [0, 2 ERFCX_CENTER].

    The error is weighted by its effect on GELU: relative where |x| Phi(-|x|) exceeds ERFCX_FLOOR,
    absolute below.
    """

    def f(v: np.ndarray) -> np.ndarray:
        return np.vectorize(_erfcx)(v + ERFCX_CENTER)

    def weight(v: np.ndarray) -> np.ndarray:
        u = v + ERFCX_CENTER
        factor = u / math.sqrt(2) * np.exp(-u * u)
        return np.where(u < 0.5, 1 / f(v), factor / (factor * f(v) + ERFCX_FLOOR))

    return remez(f, weight, -ERFCX_CENTER, ERFCX_CENTER, degree)


def log(degree: int) -> np.ndarray:
    """log(1 + r)/r on [sqrt(1/2) - 1, sqrt(2) - 1], fitted with relative error."""
    f = lambda r: _series(r, lambda r: np.log1p(r) / r, [1, -1 / 2, 1 / 3, -1 / 4, 1 / 5])  # noqa: E731
    return remez(f, lambda r: 1 / f(r), math.sqrt(0.5) - 1, math.sqrt(2) - 1, degree)


# Degrees by rung: the smallest degree whose own error is small against the error of the rung's exp.
EXPM1_DEGREES = (2, 3, 4, 5, 6)
LOG1P_DEGREES = (3, 4, 6, 7, 9)
TANH_WHOLE_DEGREES = (2, 6)
TANH_DEGREES = (3, 3, 4)
ERF_DEGREES = (1, 2, 2, 3, 4)
ERFCX_DEGREES = (6, 8, 10, 12, 14)
LOG_DEGREE = 9


def tables() -> dict[str, dict[str, np.ndarray]]:
    """All polynomials by function and rung, as float32 coefficients, lowest power first."""
    rows = {"exp2": {method: exp2(method) for method in METHODS}}
    for fit, degrees in (
        (expm1, EXPM1_DEGREES),
        (log1p, LOG1P_DEGREES),
        (erf, ERF_DEGREES),
        (erfcx, ERFCX_DEGREES),
    ):
        rows[fit.__name__] = dict(zip(METHODS, map(fit, degrees), strict=False))
    whole = [tanh_whole(degree) for degree in TANH_WHOLE_DEGREES]
    near_zero = [tanh(degree) for degree in TANH_DEGREES]
    rows["tanh"] = dict(zip(METHODS, [*whole, *near_zero], strict=True))
    rows["log"] = {"all": log(LOG_DEGREE)}
    return {
        name: {rung: c.astype("float32") for rung, c in row.items()} for name, row in rows.items()
    }


if __name__ == "__main__":
    for name, row in tables().items():
        print(f"{name.upper()} = {{")
        for rung, coefficients in row.items():
            print(f'    "{rung}": (' + ", ".join(f"{c:.9g}" for c in coefficients) + ",),")
        print("}")
