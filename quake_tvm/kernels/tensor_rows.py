"""softmax, log_softmax and logsumexp as plain tensor expressions, for tuners to schedule.

The formulas and special values are those of :mod:`compute`, in stages: the row's maximum, its
exponentials, their sum, the result. A row whose length is no multiple of sixteen is padded with
-inf, whose exponential adds nothing. The reason: a reduction that ends in the middle of a vector is
not vectorized.

The schedule decides the order of summation. So the error is within ``quake_tvm.bound`` plus 2^-24
for each element of a row: relative for a probability, absolute for a logarithm. Lengths are known:
tuners take no others. Knows no target, no schedule and no graph.
"""

import math
from collections.abc import Callable

from tvm import te

from ..numerics import exp_bits
from ..numerics.exp_bits import constant
from ..numerics.ladder import LADDER
from ..tvm_version import Expr, tir
from .compute import divisor, finite, logits
from .rows import LANES

# The name of the padding stage.
PADDED = "quake_padded"


def _padded(shape: list[Expr], value: Callable[..., Expr]) -> te.Tensor | Callable[..., Expr]:
    """value(*row, i), and -inf from the row's end to the next multiple of sixteen."""
    *outer, length = shape
    if length == _whole(length):
        return value
    return te.compute(
        [*outer, _whole(length)],
        lambda *at: tir.if_then_else(at[-1] < length, value(*at), constant(-math.inf)),
        name=PADDED,
    )


def _whole(length: Expr) -> int:
    return -(-int(length) // LANES) * LANES


def _reduced(
    shape: list[Expr], value: Callable[..., Expr], step: Callable[..., Expr], name: str
) -> te.Tensor:
    """Reduce each row of a value that is padded from this shape, with ``step``."""
    *outer, length = shape
    i = te.reduce_axis((0, _whole(length)), name="i")
    return te.compute(outer, lambda *at: step(value(*at, i), axis=i), name=name)


def _exponentials(
    shape: list[Expr], exponent: Callable[..., Expr], exp: Callable[[Expr], Expr]
) -> tuple[te.Tensor, te.Tensor]:
    """The exponentials of each padded row, and their sums."""
    *outer, length = shape

    def element(*at: Expr) -> Expr:
        # AutoScheduler inlines, and so computes twice, a stage without a Select.
        return exp(tir.Select(tir.const(True, "bool"), exponent(*at), constant(0)))

    e = te.compute([*outer, _whole(length)], element, name="quake_exponentials")
    return e, _reduced(shape, e, te.sum, "quake_sum")


def softmax(
    x: te.Tensor,
    mask: te.Tensor | None = None,
    *,
    method: str,
    ieee: bool = True,
    scale: float = 1.0,
    empty: float | None = None,
) -> te.Tensor:
    """:func:`compute.softmax` as a tensor expression."""
    inputs = [x] if mask is None else [x, mask]
    fold = scale if mask is None else 1.0
    value = _padded(x.shape, lambda *at: logits(inputs, scale, at[:-1])(at[-1]))
    top = _reduced(x.shape, value, te.max, "quake_maximum")
    e, total = _exponentials(
        x.shape,
        lambda *at: value(*at) - top(*at[:-1]),
        lambda t: exp_bits.softmax_exp(t, LADDER[method], ieee, scale=fold),
    )

    def result(*at: Expr) -> Expr:
        whole = total(*at[:-1])
        return e(*at) * (constant(1) / (whole if empty is None else divisor(whole)))

    return te.compute(x.shape, result, name="quake_softmax")


def log_softmax(x: te.Tensor, *, method: str, ieee: bool = True) -> te.Tensor:
    """:func:`compute.log_softmax` as a tensor expression."""
    value = _padded(x.shape, x)
    top = _reduced(x.shape, value, te.max, "quake_maximum")
    _, total = _exponentials(
        x.shape,
        lambda *at: value(*at) - top(*at[:-1]),
        lambda t: exp_bits.exp(t, LADDER[method], ieee, high=0),
    )

    def at_least_1(*at: Expr) -> Expr:
        """The sum, at least 1. A sum of 0 stays 0: TVM's maximum of a row of -inf is finite."""
        one = tir.max(constant(1), total(*at))
        return tir.Select(total(*at) > constant(0), one, total(*at))

    shift = te.compute(total.shape, lambda *at: exp_bits.log(at_least_1(*at)), name="quake_log")
    return te.compute(
        x.shape, lambda *at: (x(*at) - top(*at[:-1])) - shift(*at[:-1]), name="quake_log_softmax"
    )


def logsumexp(x: te.Tensor, *, method: str, ieee: bool = True, keepdims: bool = False) -> te.Tensor:
    """:func:`compute.logsumexp` as a tensor expression."""
    value = _padded(x.shape, x)
    top = _reduced(x.shape, value, te.max, "quake_maximum")
    center = te.compute(top.shape, lambda *at: finite(top(*at)), name="quake_center")
    _, total = _exponentials(
        x.shape,
        lambda *at: value(*at) - center(*at[:-1]),
        lambda t: exp_bits.exp(t, LADDER[method], ieee),
    )
    *outer, _ = x.shape
    shape = [*outer, 1] if keepdims else outer

    def result(*at: Expr) -> Expr:
        row = at[: len(outer)]
        return center(*row) + exp_bits.log(total(*row))

    return te.compute(shape, result, name="quake_logsumexp")
