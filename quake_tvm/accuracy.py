"""Measure the error of compiled kernels against the exact formulas, over any part of all float32.

The kernels are the ones users run, the reference is float64 through libm, compiled by the same
compiler; numpy compares. Knows the registry and no graph.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import te

from . import compute, reference
from .approximation import METHODS
from .generation import Expr, tir
from .inputs import FLT_MAX, SMALLEST_NORMAL, bit_patterns, special_inputs
from .operators import OPERATORS, Bound, bound
from .standalone import build


def kernel(
    operator: str, method: str, target: tvm.target.Target, ieee: bool = True, **parameters: float
) -> Callable[[np.ndarray], np.ndarray]:
    """The compiled, scheduled kernel of an element-wise operator, for one-dimensional arrays."""
    x = te.placeholder((te.var("n", dtype="int64"),), name="x")
    return build([x], compute.elementwise(x, operator, method, ieee, **parameters), target)


def exact(
    operator: str, target: tvm.target.Target, **parameters: float
) -> Callable[[np.ndarray], np.ndarray]:
    """The compiled float64 reference of an element-wise operator."""
    row = OPERATORS[operator]
    values = {**row.parameters, **parameters}
    x = te.placeholder((te.var("n", dtype="int64"),), name="x")

    def value(i: Expr) -> Expr:
        return row.reference(reference.LIBM, x[i].astype("float64"), **values)

    return build([x], te.compute(x.shape, value, name="reference"), target)


def error(target: tvm.target.Target, absolute: float) -> Callable[..., np.ndarray]:
    """Compiled ``(|q - y| - absolute)/|y|`` for float32 results q and exact float64 values y.

    0 where y is not finite in float32, and where q overflowed although y just did not.
    """
    n = te.var("n", dtype="int64")
    q, y = te.placeholder((n,), name="q"), te.placeholder((n,), "float64", name="y")

    def f64(value: float) -> Expr:
        return tir.const(value, "float64")

    def value(i: Expr) -> Expr:
        size = tir.abs(y[i])
        relative = (tir.abs(q[i].astype("float64") - y[i]) - f64(absolute)) / tir.max(
            size, f64(1e-300)
        )
        overflow = tir.all(
            tir.abs(q[i]) > tir.const(FLT_MAX, "float32"), size > f64(FLT_MAX * (1 - 2.0**-5))
        )
        inside = tir.Select(overflow, f64(0), relative)
        return tir.Select(size <= f64(FLT_MAX), inside, f64(0)).astype("float32")

    return build([q, y], te.compute((n,), value, name="error"), target)


@dataclass
class Errors:
    """What a sweep found for one operator on one rung.

    Attributes
    ----------
    absolute : float
        The contract's absolute term the relative one was measured beside.
    relative : float
        The largest ``(|q - y| - absolute)/|y|``, NaN if a result was.
    witness : float
        The input that showed it.
    monotone : bool
        Whether no larger input gave a smaller result.
    """

    absolute: float
    relative: float = 0.0
    witness: float = 0.0
    monotone: bool = True
    _last: tuple[bool, float] | None = None

    def see_errors(self, x: np.ndarray, relative: np.ndarray) -> None:
        """Take in the relative errors at inputs x."""
        worst = int(np.argmax(relative))  # the first NaN, if there is one
        if not relative[worst] <= self.relative:
            self.relative, self.witness = float(relative[worst]), float(x[worst])

    def see_order(self, x: np.ndarray, q: np.ndarray) -> None:
        """Check monotonicity along bit patterns: upwards from 0, then downwards from -0."""
        negative = bool(np.signbit(x[0]))
        q = q[~np.isnan(x)]
        if self._last is not None and self._last[0] == negative:
            q = np.concatenate([[self._last[1]], q])
        breaks = q[1:] > q[:-1] if negative else q[1:] < q[:-1]
        if np.any(breaks):
            self.monotone = False
        if len(q):
            self._last = (negative, q[-1])


def absolute_term(operator: str, method: str) -> float:
    """The absolute part of the error contract, fixed before the relative part is measured.

    Results below the smallest normal float32 flush to zero; where x multiplies such a result, so
    does |x| < 128. GELU's own tail is relative down to 2^-10 of its size only: 2^-10 of the
    rung's error of exp is its absolute term.
    """
    if operator in ("gelu", "gelu_tanh"):
        return bound("exp", method).relative * 2.0**-10
    if operator in ("silu", "gelu_quick", "mish"):
        return SMALLEST_NORMAL * 128
    return SMALLEST_NORMAL


def sweep(
    operator: str,
    target: tvm.target.Target,
    count: int,
    methods: Iterable[str] = METHODS,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Errors]:
    """Errors of an element-wise operator over evenly spread bit patterns and all special inputs.

    Parameters
    ----------
    operator : str
    target : tvm.target.Target
        Must run on this machine.
    count : int
        A power of two; ``EVERY`` for all 2^32.
    methods : iterable of str
    progress : callable
        Called after each chunk with the number of inputs in it.

    Returns
    -------
    dict of method to Errors
    """
    truth = exact(operator, target)
    found = {m: Errors(absolute_term(operator, m)) for m in methods}
    kernels = {m: (kernel(operator, m, target), error(target, found[m].absolute)) for m in methods}

    def measure(x: np.ndarray, in_order: bool) -> None:
        y = truth(x)
        for method, (run, relative) in kernels.items():
            q = run(x)
            found[method].see_errors(x, relative(q, y))
            if in_order:
                found[method].see_order(x, q)

    measure(special_inputs(), in_order=False)
    for x in bit_patterns(count):
        measure(x, in_order=True)
        progress(len(x))
    return found


def as_bound(operator: str, method: str, errors: Errors) -> Bound:
    """The bound a sweep proves: the largest relative error rounded up in the third digit."""
    return Bound(
        operator,
        method,
        round_up(errors.relative),
        errors.absolute,
        errors.witness,
        errors.monotone if OPERATORS[operator].rising else None,
    )


def round_up(value: float) -> float:
    """Three significant digits, upwards."""
    if value == 0:
        return 0.0
    digits = 2 - int(np.floor(np.log10(value)))
    return float(f"{np.ceil(value * 10.0**digits) / 10.0**digits:.3g}")
