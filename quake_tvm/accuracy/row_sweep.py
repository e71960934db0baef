"""softmax_exp over every float32 t <= 0, as compiled: its errors, monotonicity and ties.

The bounds of operators over rows are derived from these numbers, which
:mod:`quake_tvm.numerics.row_bounds` stores. The sweep also measures exp there, which log_softmax
and logsumexp sum. Knows no row.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import te

from .. import accuracy
from ..numerics import exp_bits
from ..numerics.ladder import LADDER, METHODS
from .float32_inputs import CHUNK
from .standalone import build

# Bit patterns of -0 and -inf.
FIRST, LAST = 0x80000000, 0xFF800000
EVERY = LAST - FIRST + 1
# Elements further below the maximum have probabilities below 2^-24.
REACH = -17.0
# The relative distance of floats just below a power of two. Just above, it is twice as large.
UNIT = 2.0**-24


@dataclass
class Weights:
    """The findings for one rung. A weight is a value of softmax_exp.

    Attributes
    ----------
    weight : tuple of float
        The smallest and largest relative error of weight(t)/weight(0) against exp(t) on [REACH, 0].
    exp : tuple of float
        The same for exp.
    monotone : bool
        Whether no larger t <= 0 has a smaller weight.
    tie : float
        The largest distance, in ulp, between the exact probabilities of a row's largest element and
        of a smaller one whose results may be equal.
    """

    weight: tuple[float, float] = (math.inf, -math.inf)
    exp: tuple[float, float] = (math.inf, -math.inf)
    monotone: bool = True
    tie: float = 0.0


def kernel(
    method: str, target: tvm.target.Target, scale: float = 1.0
) -> Callable[[np.ndarray], np.ndarray]:
    """The compiled softmax_exp of one-dimensional float32 arrays.

    Parameters
    ----------
    method : str
    target : tvm.target.Target
        Must run on this machine.
    scale : float
        Positive; the factor of t.
    """
    t = te.placeholder((te.var("n", dtype="int64"),), name="t")
    rung = LADDER[method]
    return build(
        [t],
        te.compute(t.shape, lambda i: exp_bits.softmax_exp(t[i], rung, scale=scale), name="weight"),
        target,
    )


def falling(count: int) -> Iterator[np.ndarray]:
    """``count`` float32 values from -0 down to -inf, evenly spread over bit patterns, in chunks."""
    step = -(-EVERY // count)
    for first in range(FIRST, LAST + 1, step * CHUNK):
        last = min(first + step * CHUNK, LAST + 1)
        yield np.arange(first, last, step, dtype=np.uint32).view(np.float32)


def sweep(
    target: tvm.target.Target,
    count: int = EVERY,
    methods: Iterable[str] = METHODS,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Weights]:
    """Errors, monotonicity and ties of every rung's weights.

    Parameters
    ----------
    target : tvm.target.Target
        Must run on this machine.
    count : int
        The number of t, evenly spread; by default all 2^31.
    methods : iterable of str
    progress : callable
        Called after each chunk with the number of inputs in it.

    Returns
    -------
    dict of method to Weights
    """
    truth = accuracy.exact("exp", target)
    kernels = {m: (kernel(m, target), accuracy.kernel("exp", m, target)) for m in methods}
    found = {m: Weights() for m in methods}
    last = dict.fromkeys(methods, np.float32(np.inf))
    for t in falling(count):
        near = t[t >= REACH]
        y = truth(near)
        for method, (weight, exp) in kernels.items():
            row, w = found[method], weight(t)
            row.monotone &= bool(w[0] <= last[method] and np.all(w[1:] <= w[:-1]))
            last[method] = w[-1]
            row.weight = _widened(row.weight, w[: len(near)] / (y * float(top(weight))) - 1)
            row.exp = _widened(row.exp, exp(near) / y - 1)
        progress(len(t))
    for method, (weight, _) in kernels.items():
        found[method].tie = tie(weight)
    return found


def top(weight: Callable[[np.ndarray], np.ndarray]) -> np.float32:
    """The weight of a row's maximum, softmax_exp(0)."""
    return weight(np.zeros(1, np.float32))[0]


def _widened(interval: tuple[float, float], errors: np.ndarray) -> tuple[float, float]:
    if not len(errors):
        return interval
    return min(interval[0], float(errors.min())), max(interval[1], float(errors.max()))


def tie(weight: Callable[[np.ndarray], np.ndarray]) -> float:
    """The largest distance, in ulp, of exact values at the maximum whose results are equal.

    The ulp is that of the exact values. A weight some steps below the maximum's gives the same
    result if an ulp of the result is at least as large as those steps; an ulp is between one and
    two units. Weights must not fall as t rises.
    """
    highest = top(weight)
    worst, level = 0.0, highest
    while (steps := float(1 - level / highest) / UNIT) <= 2:
        t = lowest(weight, level)
        worst = max(worst, -math.expm1(t) / UNIT / max(steps, 1.0))
        level = weight(np.nextafter(np.array([t], np.float32), np.float32(-np.inf)))[0]
    return worst


def lowest(weight: Callable[[np.ndarray], np.ndarray], level: np.float32) -> float:
    """The lowest t <= 0 whose weight is at least ``level``, by bisection."""
    low, high = FIRST, LAST
    while high - low > 1:
        middle = (low + high) // 2
        if weight(np.array([middle], np.uint32).view(np.float32))[0] >= level:
            low = middle
        else:
            high = middle
    return float(np.uint32(low).view(np.float32))
