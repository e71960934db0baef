"""Softmax's weights over every float32 t <= 0, as compiled: their errors, their order, their ties.

What the bounds of operators over rows are derived from; :mod:`quake_tvm.numerics.row_bounds` keeps
it. Beside the weights the errors of exp there, which log_softmax and logsumexp sum. Knows no row.
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
# Elements further below the maximum are smaller than 2^-24.
REACH = -17.0
# Relative distance of floats just below a power of two; above it, it is twice that.
UNIT = 2.0**-24


@dataclass
class Weights:
    """What a sweep found for one rung.

    Attributes
    ----------
    weight : tuple of float
        Smallest and largest relative error of weight(t)/weight(0) against exp(t) on [REACH, 0].
    exp : tuple of float
        The same of exp.
    monotone : bool
        Whether no larger t <= 0 has a smaller weight.
    tie : float
        The largest distance, in ulp, between exact probabilities of a row's largest element and of
        one below it whose results may be equal.
    """

    weight: tuple[float, float] = (math.inf, -math.inf)
    exp: tuple[float, float] = (math.inf, -math.inf)
    monotone: bool = True
    tie: float = 0.0


def kernel(
    method: str, target: tvm.target.Target, scale: float = 1.0
) -> Callable[[np.ndarray], np.ndarray]:
    """The compiled weights of one-dimensional arrays."""
    t = te.placeholder((te.var("n", dtype="int64"),), name="t")
    rung = LADDER[method]
    return build(
        [t],
        te.compute(t.shape, lambda i: exp_bits.softmax_exp(t[i], rung, scale=scale), name="weight"),
        target,
    )


def falling(count: int) -> Iterator[np.ndarray]:
    """``count`` float32 values from -0 down to -inf, evenly spread over bit patterns, by chunks."""
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
    """Errors, order and ties of every rung's weights.

    Parameters
    ----------
    target : tvm.target.Target
        Must run on this machine.
    count : int
        So many t, evenly spread; by default all 2^31.
    methods : iterable of str
    progress : callable
        Called after each chunk with the number of inputs in it.
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
    """The weight of a row's maximum."""
    return weight(np.zeros(1, np.float32))[0]


def _widened(interval: tuple[float, float], errors: np.ndarray) -> tuple[float, float]:
    if not len(errors):
        return interval
    return min(interval[0], float(errors.min())), max(interval[1], float(errors.max()))


def tie(weight: Callable[[np.ndarray], np.ndarray]) -> float:
    """How far apart, in ulp of the exact ones, two results may be that come out equal at the top.

    A weight some steps below the top's becomes the same result where an ulp of the result is no
    smaller than those steps; and an ulp is between one and two units. Weights must not rise.
    """
    highest = top(weight)
    worst, level = 0.0, highest
    while (steps := float(1 - level / highest) / UNIT) <= 2:
        t = lowest(weight, level)
        worst = max(worst, -math.expm1(t) / UNIT / max(steps, 1.0))
        level = weight(np.nextafter(np.float32([t]), np.float32(-np.inf)))[0]
    return worst


def lowest(weight: Callable[[np.ndarray], np.ndarray], level: np.float32) -> float:
    """The lowest t <= 0 whose weight is ``level`` or more, by bisection."""
    low, high = FIRST, LAST
    while high - low > 1:
        middle = (low + high) // 2
        if weight(np.uint32([middle]).view(np.float32))[0] >= level:
            low = middle
        else:
            high = middle
    return float(np.uint32(low).view(np.float32))
