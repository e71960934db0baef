"""The operators as tensor computations (``te``), ready to become PrimFuncs.

Element-wise operators are one block. Operators over rows (softmax, log_softmax, logsumexp) sum in
a tree of fixed shape, whatever the target: element i of a row goes to virtual lane i mod 16, each
lane adds up in order, and the sixteen are halved four times. So the bits depend neither on vector
width nor on threads. Knows no target and no graph.
"""

import math
from collections.abc import Callable

from tvm import te

from . import expression
from .approximation import LADDER
from .expression import constant
from .generation import tir
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
    """A tensor seen as rows along one axis: builds the stages that operators over rows share."""

    def __init__(self, shape: list[tir.Expr], axis: int) -> None:
        self.shape, self.axis = list(shape), axis
        self.outer = self.shape[:axis] + self.shape[axis + 1 :]
        self.length = self.shape[axis]

    def index(self, outer: tuple[tir.Expr, ...], k: tir.Expr) -> tuple[tir.Expr, ...]:
        return (*outer[: self.axis], k, *outer[self.axis :])

    def row_of(self, i: tuple[tir.Expr, ...]) -> tuple[tir.Expr, ...]:
        return (*i[: self.axis], *i[self.axis + 1 :])

    def _lanes(
        self, value: Callable[..., tir.Expr], combine: Callable, reduce: Callable, start: float,
        name: str,
    ) -> te.Tensor:
        """One value a row: sixteen lanes over the full chunks, the rest, then the tree."""
        chunks, rest = self.length // LANES, self.length % LANES
        count = len(self.outer)
        k = te.reduce_axis((0, chunks), "chunk")
        lanes = te.compute(
            (*self.outer, LANES),
            lambda *i: reduce(value(*self.index(i[:count], k * LANES + i[count])), axis=k),
            name=f"{name}_lanes",
        )
        if not _is(rest, 0):
            full, base = lanes, chunks * LANES

            def start_of(i: tuple[tir.Expr, ...]) -> tir.Expr:
                # A loop of no chunks does not even initialise its lanes.
                if isinstance(chunks, int | tir.IntImm):
                    return full(*i) if int(chunks) else constant(start)
                return tir.if_then_else(chunks > 0, full(*i), constant(start))

            lanes = te.compute(
                (*self.outer, LANES),
                lambda *i: combine(
                    start_of(i),
                    tir.if_then_else(
                        i[count] < rest,
                        value(*self.index(i[:count], base + i[count])),
                        constant(start),
                    ),
                ),
                name=f"{name}_rest",
            )
        for width in (8, 4, 2, 1):
            lanes = self._halve(lanes, width, combine, name)
        return lanes

    def _halve(self, wide: te.Tensor, width: int, combine: Callable, name: str) -> te.Tensor:
        count = len(self.outer)
        return te.compute(
            (*self.outer, width),
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
        at = [0 if _is(n, 1) else k for n, k in zip(mask.shape, tail)]
        if scale == 1.0:
            return x(*i) + mask(*at)
        return expression.fma(x(*i), constant(scale), mask(*at))

    return value


def softmax(
    x: te.Tensor,
    mask: te.Tensor | None = None,
    *,
    method: str,
    ieee: bool = True,
    axis: int = -1,
    scale: float = 1.0,
) -> te.Tensor:
    """softmax(scale*x + mask) along an axis; without a mask, scale > 0 folds into exp.

    With rows that hold +inf or only -inf, or a NaN, the row is NaN, as in PyTorch.
    """
    rows = _Rows(x.shape, axis % len(x.shape))
    value = _logits(x, mask, scale)
    fold = scale if mask is None else 1.0
    top = rows.max(value, "softmax_max")
    e = te.compute(
        x.shape,
        lambda *i: expression.exp(
            value(*i) - top(*rows.row_of(i), 0), LADDER[method], ieee, scale=fold, high=0
        ),
        name="softmax_exp",
    )
    total = rows.sum(e, "softmax_sum")
    inverse = te.compute(
        rows.outer, lambda *i: constant(1) / total(*i, 0), name="softmax_inverse"
    )
    return te.compute(
        x.shape, lambda *i: e(*i) * inverse(*rows.row_of(i)), name="quake_softmax"
    )


def log_softmax(
    x: te.Tensor, *, method: str, ieee: bool = True, axis: int = -1
) -> te.Tensor:
    """x - max - log(sum(exp(x - max))) along an axis; the logarithm is exact on every rung."""
    rows = _Rows(x.shape, axis % len(x.shape))
    top = rows.max(x, "softmax_max")
    e = te.compute(
        x.shape,
        lambda *i: expression.exp(
            x(*i) - top(*rows.row_of(i), 0), LADDER[method], ieee, high=0
        ),
        name="softmax_exp",
    )
    total = rows.sum(e, "softmax_sum")
    shift = te.compute(
        rows.outer, lambda *i: expression.log(total(*i, 0)), name="softmax_log"
    )
    return te.compute(
        x.shape,
        lambda *i: (x(*i) - top(*rows.row_of(i), 0)) - shift(*rows.row_of(i)),
        name="quake_log_softmax",
    )


def logsumexp(
    x: te.Tensor, *, method: str, ieee: bool = True, axis: int = -1, keepdims: bool = False
) -> te.Tensor:
    """log(sum(exp(x))) along an axis; -inf for a row of -inf, +inf for a row that holds it."""
    axis = axis % len(x.shape)
    rows = _Rows(x.shape, axis)
    top = rows.max(x, "softmax_max")

    def finite(t: tir.Expr) -> tir.Expr:
        at_infinity = tir.any(t == constant(math.inf), t == constant(-math.inf))
        return tir.Select(at_infinity, constant(0), t)

    center = te.compute(
        rows.outer, lambda *i: finite(top(*i, 0)), name="softmax_center"
    )
    e = te.compute(
        x.shape,
        lambda *i: expression.exp(x(*i) - center(*rows.row_of(i)), LADDER[method], ieee),
        name="softmax_exp",
    )
    total = rows.sum(e, "softmax_sum")
    shape = rows.index(tuple(rows.outer), 1) if keepdims else rows.outer

    def result(*i: tir.Expr) -> tir.Expr:
        row = rows.row_of(i) if keepdims else i
        return center(*row) + expression.log(total(*row, 0))

    return te.compute(shape, result, name="quake_logsumexp")
