"""The operators as tensor computations (``te``), ready to become PrimFuncs.

Element-wise operators are one block. Operators over rows (softmax, log_softmax, logsumexp) sum in
a tree of fixed shape, whatever the target: element i of a row goes to virtual lane i mod 16, each
lane adds up in order, and the sixteen are halved four times. So the bits depend neither on vector
width nor on threads. Knows no target and no graph.
"""

import math
from collections.abc import Callable

from tvm import te

from . import exponential
from .approximation import LADDER
from .exponential import constant
from .generation import fma, tir
from .operators import OPERATORS

LANES = 16


def elementwise(
    x: te.Tensor, operator: str, method: str, ieee: bool = True, **parameters: float
) -> te.Tensor:
    """An element-wise operator of the registry over a float32 tensor of any shape."""
    row = OPERATORS[operator]
    values = {**row.parameters, **parameters}
    return te.compute(
        x.shape,
        lambda *i: row.expression(x(*i), LADDER[method], ieee, **values),
        name=f"quake_{operator}",
    )


def _is(n: int | tir.Expr, value: int) -> bool:
    """Whether an extent is known to be this."""
    return isinstance(n, int | tir.IntImm) and int(n) == value


class _Rows:
    """The last axis of a shape as rows: builds the stages that operators over rows share."""

    def __init__(self, shape: list[tir.Expr]) -> None:
        self.outer, self.length = list(shape[:-1]), shape[-1]

    def wide(self, width: int) -> tuple[tir.Expr, ...]:
        """The shape of ``width`` values a row, its extents integers of the given shape's type."""
        return (*self.outer, tir.const(width, self.length.ty.dtype))

    def _lanes(
        self,
        value: Callable[..., tir.Expr],
        combine: Callable,
        reduce: Callable,
        start: float,
        name: str,
    ) -> te.Tensor:
        """One value a row: sixteen lanes over the full chunks, the rest, then the tree."""
        chunks, rest = self.length // LANES, self.length % LANES
        count = len(self.outer)
        k = te.reduce_axis((0, chunks), "chunk")

        def chunks_of(*i: tir.Expr) -> tir.Expr:
            if _is(chunks, 1):  # TVM's passes stumble over a reduction of one step
                return value(*i)
            return reduce(value(*i[:count], k * LANES + i[count]), axis=k)

        lanes = te.compute(self.wide(LANES), chunks_of, name=f"{name}_lanes")
        if not _is(rest, 0) or _is(chunks, 0):
            full, base = lanes, chunks * LANES

            def start_of(i: tuple[tir.Expr, ...]) -> tir.Expr:
                # A loop of no chunks does not even initialise its lanes.
                if isinstance(chunks, int | tir.IntImm):
                    return full(*i) if int(chunks) else constant(start)
                return tir.if_then_else(chunks > 0, full(*i), constant(start))

            def rest_of(i: tuple[tir.Expr, ...]) -> tir.Expr:
                at = value(*i[:count], base + i[count])
                return tir.if_then_else(i[count] < rest, at, constant(start))

            lanes = te.compute(
                self.wide(LANES),
                lambda *i: combine(start_of(i), rest_of(i)),
                name=f"{name}_rest",
            )
        for width in (8, 4, 2, 1):
            lanes = self._halve(lanes, width, combine, name)
        return lanes

    def _halve(self, wide: te.Tensor, width: int, combine: Callable, name: str) -> te.Tensor:
        count = len(self.outer)
        return te.compute(
            self.wide(width),
            lambda *i: combine(wide(*i), wide(*i[:count], i[count] + width)),
            name=f"{name}_tree{width}",
        )

    def sum(self, value: Callable[..., tir.Expr], name: str) -> te.Tensor:
        return self._lanes(value, lambda a, b: a + b, te.sum, 0.0, name)

    def max(self, value: Callable[..., tir.Expr], name: str) -> te.Tensor:
        return self._lanes(value, tir.max, te.max, -math.inf, name)


def _logits(x: te.Tensor, mask: te.Tensor | None, scale: float) -> Callable[..., tir.Expr]:
    """scale*x + mask, the mask broadcast from the right as numpy does."""
    if mask is None:
        return lambda *i: x(*i)

    def value(*i: tir.Expr) -> tir.Expr:
        tail = i[len(i) - len(mask.shape) :]
        at = [0 if _is(n, 1) else k for n, k in zip(mask.shape, tail, strict=True)]
        if scale == 1.0:
            return x(*i) + mask(*at)
        return fma(x(*i), constant(scale), mask(*at))

    return value


def softmax(
    x: te.Tensor,
    mask: te.Tensor | None = None,
    *,
    method: str,
    ieee: bool = True,
    scale: float = 1.0,
) -> te.Tensor:
    """softmax(scale*x + mask) along the last axis; without a mask, scale > 0 folds into exp.

    A row that holds +inf, or a NaN, or only -inf, is NaN, as in PyTorch.
    """
    rows = _Rows(x.shape)
    value = _logits(x, mask, scale)
    fold = scale if mask is None else 1.0
    top = rows.max(value, "softmax_max")
    e = te.compute(
        x.shape,
        lambda *i: exponential.exp(
            value(*i) - top(*i[:-1], 0), LADDER[method], ieee, scale=fold, high=0
        ),
        name="softmax_exp",
    )
    total = rows.sum(e, "softmax_sum")
    inverse = te.compute(rows.wide(1), lambda *i: constant(1) / total(*i), name="softmax_inverse")
    return te.compute(x.shape, lambda *i: e(*i) * inverse(*i[:-1], 0), name="quake_softmax")


def log_softmax(x: te.Tensor, *, method: str, ieee: bool = True) -> te.Tensor:
    """x - max - log(sum(exp(x - max))) along the last axis; only the exp is approximate."""
    rows = _Rows(x.shape)
    top = rows.max(x, "softmax_max")
    e = te.compute(
        x.shape,
        lambda *i: exponential.exp(x(*i) - top(*i[:-1], 0), LADDER[method], ieee, high=0),
        name="softmax_exp",
    )
    total = rows.sum(e, "softmax_sum")
    shift = te.compute(rows.wide(1), lambda *i: exponential.log(total(*i)), name="softmax_log")
    return te.compute(
        x.shape,
        lambda *i: (x(*i) - top(*i[:-1], 0)) - shift(*i[:-1], 0),
        name="quake_log_softmax",
    )


def logsumexp(x: te.Tensor, *, method: str, ieee: bool = True, keepdims: bool = False) -> te.Tensor:
    """log(sum(exp(x))) along the last axis; -inf for a row of -inf, +inf where there is one."""
    rows = _Rows(x.shape)
    top = rows.max(x, "softmax_max")

    def finite(t: tir.Expr) -> tir.Expr:
        at_infinity = tir.any(t == constant(math.inf), t == constant(-math.inf))
        return tir.Select(at_infinity, constant(0), t)

    center = te.compute(rows.wide(1), lambda *i: finite(top(*i)), name="softmax_center")
    e = te.compute(
        x.shape,
        lambda *i: exponential.exp(x(*i) - center(*i[:-1], 0), LADDER[method], ieee),
        name="softmax_exp",
    )
    total = rows.sum(e, "softmax_sum")
    return te.compute(
        rows.wide(1) if keepdims else rows.outer,
        lambda *i: (
            center(*i[: len(rows.outer)], 0) + exponential.log(total(*i[: len(rows.outer)], 0))
        ),
        name="quake_logsumexp",
    )
