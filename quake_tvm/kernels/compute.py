"""The operators as tensor computations (``te``), ready to become PrimFuncs.

Element-wise operators are one block. Operators over rows (softmax, log_softmax, logsumexp) are
generated as statements with :mod:`rows`, which sums in a tree of fixed shape. They compute in
float32, and their tensors may be in half precision: elements are widened as they are read, and
narrowed as they are stored. Knows no target and no graph.
"""

import math
from collections.abc import Callable, Sequence

from tvm import te

from ..numerics import exp_bits
from ..numerics.exp_bits import constant
from ..numerics.ladder import LADDER
from ..numerics.number_formats import COMPUTED, FORMATS, widen
from ..numerics.operators import OPERATORS
from ..tvm_version import alloc, dtype_of, fma, tir
from . import row_kernel, rows
from .rows import Expr, Row, Stmt

RowProgram = Callable[[Row, tuple[Expr, ...], list[tir.Buffer], tir.Buffer], list[Stmt]]


def elementwise(
    x: te.Tensor,
    operator: str,
    method: str,
    ieee: bool = True,
    **parameters: float,
) -> te.Tensor:
    """An element-wise operator of the registry over a float32 tensor of any shape.

    Parameters
    ----------
    x : te.Tensor
    operator : str
        A name of the registry.
    method : str
        A rung.
    ieee : bool
        Whether NaN and infinities must come out right.
    **parameters
        Values of the formula's parameters, instead of their defaults.
    """
    row = OPERATORS[operator]
    values, expression = {**row.parameters, **parameters}, row.expression
    assert expression is not None
    return te.compute(
        x.shape,
        lambda *i: expression(x(*i), LADDER[method], ieee, **values),
        name=f"quake_{operator}",
        tag="elemwise",  # Relay's schedules inline blocks with this tag
    )


def logits(
    buffers: list[tir.Buffer],
    scale: float,
    at: tuple[Expr, ...],
    place: tuple[Expr, ...] | None = None,
    start: int | Expr = 0,
) -> Callable[[Expr], Expr]:
    """scale*x + mask along one row.

    Parameters
    ----------
    buffers : list of Buffer
        x, and the mask if there is one. The mask broadcasts from the right as in numpy.
    scale : float
        Applied only if there is a mask; without one the caller folds it into exp.
    at : tuple of PrimExpr
        The row's indices in x.
    place : tuple of PrimExpr, optional
        The row's indices in the shape that the mask is broadcast to; ``at`` by default.
    start : int or PrimExpr
        The position of x's first element in the mask's row.

    Returns
    -------
    callable
        Position in the row to element.
    """
    x, *masks = buffers
    if not masks:
        return lambda i: widen(x[(*at, i)])
    (mask,) = masks
    whole = at if place is None else place

    def value(i: Expr) -> Expr:
        tail = (*whole, start + i)[len(whole) + 1 - len(mask.shape) :]
        spread = tuple(
            0 if rows.fixed(n) == 1 else k for n, k in zip(mask.shape, tail, strict=True)
        )
        if scale == 1.0:
            return widen(x[(*at, i)]) + widen(mask[spread])
        return fma(widen(x[(*at, i)]), constant(scale), widen(mask[spread]))

    return value


def softmax(
    x: te.Tensor,
    mask: te.Tensor | None = None,
    *,
    method: str,
    ieee: bool = True,
    scale: float = 1.0,
    empty: float | None = None,
    **plan: int,
) -> te.Tensor:
    """softmax(scale*x + mask) along the last axis.

    A row that holds +inf, or a NaN, gives NaN, as in PyTorch.

    Parameters
    ----------
    x : te.Tensor
        float32 or half precision, as the result.
    mask : te.Tensor, optional
        Likewise, broadcast to the shape of x as in numpy.
    method : str
        A rung.
    ieee : bool
        Whether NaN and infinities must come out right.
    scale : float
        Without a mask it must be positive, and is folded into exp.
    empty : 0 or None
        The results for a row of -inf. None gives NaN.
    **plan
        Options of :func:`row_kernel.kernel`.
    """
    fold = scale if mask is None else 1.0

    def exp(t: Expr) -> Expr:
        return exp_bits.softmax_exp(t, LADDER[method], ieee, scale=fold)

    def program(
        r: Row, at: tuple[Expr, ...], inputs: list[tir.Buffer], out: tir.Buffer
    ) -> list[Stmt]:
        # A mask has other extents: it needs the row's true indices.
        place = row_kernel.indices(x.shape[:-1], at[-1]) if mask is not None and numbered else at
        return softmax_row(r, logits(inputs, scale, at, place), exp, out, at, empty)

    # Rows of a symbolic shape are addressed by their number, a single row by nothing.
    numbered = len(x.shape) > 1 and any(rows.fixed(n) is None for n in x.shape)
    inputs = [x] if mask is None else [x, mask]
    return over_rows(inputs, x.shape, program, "quake_softmax", str(x.dtype), **plan)


def over_rows(
    inputs: list[te.Tensor],
    shape: list[Expr],
    program: RowProgram,
    name: str,
    dtype: str,
    **plan: int,
) -> te.Tensor:
    """A tensor, computed by a program for each row of the first input.

    Parameters
    ----------
    inputs : list of te.Tensor
    shape : list of PrimExpr
        The output's shape.
    program : callable
        (row, its indices, input buffers, output buffer) to statements.
    name : str
        The name of the block.
    dtype : str
        Of the result.
    **plan
        Options of :func:`row_kernel.kernel`.
    """
    *outer, length = inputs[0].shape
    return te.extern(
        [shape],
        inputs,
        lambda ins, outs: row_kernel.kernel(
            outer, length, lambda r, at: program(r, at, list(ins), outs[0]), **plan
        ),
        name=name,
        dtype=dtype,
    )


def store(out: tir.Buffer, value: Expr, at: Sequence[Expr]) -> Stmt:
    """Store a float32 in a buffer of any format."""
    return tir.BufferStore(out, FORMATS[str(out.dtype)].narrow(value), list(at))


# Chunks of results in half precision that are narrowed and stored at once, as x86 does it.
TOGETHER = 4


def softmax_row(
    r: Row,
    value: Callable[[Expr], Expr],
    exp: Callable[[Expr], Expr],
    out: tir.Buffer,
    at: tuple[Expr, ...],
    empty: float | None,
    highest: tuple[list[Stmt], Expr] | None = None,
    unit: float = 1.0,
    narrow: Callable[[Expr], Expr] | None = None,
) -> list[Stmt]:
    """softmax of one row.

    The exponentials wait for their sum in registers, those of a long row in the output. An output
    in half precision would round them: they wait in memory of their own, and where the length is
    unknown they are computed a second time. The exponentials of the last chunk always wait in
    registers: this chunk overlaps the chunk before it, and an element must not be scaled twice.

    Parameters
    ----------
    r : Row
    value, exp : callable
        The element at an index, and the exponential of a difference from the maximum.
    out : Buffer
    at : tuple of PrimExpr
        The row's indices in ``out``.
    empty : 0 or None
        The results for a row of -inf.
    highest : list of Stmt, Expr
        What exp takes differences from, and the statements that compute it. By default the largest
        element.
    unit : float
        The results are divided by this.
    narrow : callable, optional
        A float32 to the element of ``out``, by default as :func:`store`.
    """
    steps, top = highest or rows.maximum(r, value)
    if empty is not None:
        more, top = rows.store_scalar(above(top))
        steps = [*steps, *more]
    half = str(out.dtype) != COMPUTED
    apart = r.short or (half and bool(rows.fixed(r.chunks)))
    in_output = not apart and not half
    e = rows.local(int(r.chunks) * r.lanes if apart else r.lanes)
    last, lanes = rows.local(r.lanes), rows.local(r.lanes)

    def add(lane: Expr, element: Expr) -> Stmt:
        return tir.BufferStore(lanes, lanes[lane] + element, [lane])

    def chunk(c: Expr) -> Stmt:
        start = c * r.lanes
        here = start if apart else 0
        steps = [r.vector(lambda n: tir.BufferStore(e, exp(value(start + n) - top), [here + n]))]
        if in_output:
            steps.append(r.vector(lambda n: tir.BufferStore(out, e[n], [*at, start + n])))
        return rows.sequence(*steps, r.vector(lambda n: add(n, e[here + n])))

    def last_chunk(i: Expr, lane: Expr) -> Stmt:
        return tir.BufferStore(last, exp(value(i) - top), [lane])

    def add_last(_: Expr, lane: Expr) -> Stmt:
        return add(lane, tir.Select(r.new_in_tail(lane), last[lane], constant(0)))

    def kept(i: Expr) -> Expr:
        if apart:
            return e[i]
        return out[(*at, i)] if in_output else exp(value(i) - top)

    def scaled(element: Expr, i: Expr) -> Stmt:
        result = element * inverse
        if narrow is None:
            return store(out, result, (*at, i))
        return tir.BufferStore(out, narrow(result), [*at, i])

    def scale(i: Expr) -> Stmt:
        return scaled(kept(i), i)

    def scale_last(i: Expr, lane: Expr) -> Stmt:
        return scaled(last[lane], i)

    sums, whole = r.halve(lanes, r.lanes, lambda a, b: a + b)
    keep, inverse = rows.store_scalar(
        constant(1 / unit) / (whole if empty is None else divisor(whole))
    )
    return [
        *steps,
        *map(alloc, (e, last, lanes)),
        r.vector(lambda n: tir.BufferStore(lanes, constant(0), [n])),
        *r.tail(last_chunk),  # before the chunks: the output may be the input
        rows.loop(r.chunks, chunk),
        *r.tail(add_last),
        *sums,
        *keep,
        r.whole(scale, together=TOGETHER if half else 1),
        *r.tail(scale_last),
    ]


def above(top: Expr) -> Expr:
    """What to subtract from a row with this maximum, so that exp gives 0 where the row is -inf."""
    return tir.Select(top == constant(-math.inf), constant(0), top)


def divisor(total: Expr) -> Expr:
    """A sum of exponentials, or 1 if all of them are 0."""
    return tir.Select(total == constant(0), constant(1), total)


def log_softmax(x: te.Tensor, *, method: str, ieee: bool = True, **plan: int) -> te.Tensor:
    """x - max - log(sum(exp(x - max))) along the last axis. Only the exp is approximate.

    The sum is clamped to at least 1, its smallest value in exact arithmetic. So no result is above
    0 on any rung, and a row of one number gives 0. The parameters have the same meaning as for
    :func:`softmax`.
    """

    def program(
        r: Row, at: tuple[Expr, ...], inputs: list[tir.Buffer], out: tir.Buffer
    ) -> list[Stmt]:
        value = logits(inputs, 1.0, at)
        steps, top = rows.maximum(r, value)
        sums, total = rows.total(
            r, lambda i: exp_bits.exp(value(i) - top, LADDER[method], ieee, high=0)
        )
        keep, shift = rows.store_scalar(exp_bits.log(tir.max(constant(1), total)))

        def element(i: Expr) -> Stmt:
            return store(out, (value(i) - top) - shift, (*at, i))

        return [*steps, *sums, *keep, r.each(element)]

    return over_rows([x], x.shape, program, "quake_log_softmax", str(x.dtype), **plan)


def finite(t: Expr) -> Expr:
    """t, or 0 if t is infinite: a value that may be subtracted from infinities."""
    at_infinity = tir.any(t == constant(math.inf), t == constant(-math.inf))
    return tir.Select(at_infinity, constant(0), t)


def logsumexp(
    x: te.Tensor, *, method: str, ieee: bool = True, keepdims: bool = False, **plan: int
) -> te.Tensor:
    """log(sum(exp(x))) along the last axis: -inf for a row of -inf, +inf for a row with a +inf.

    Parameters
    ----------
    x, method, ieee, **plan
        As for :func:`softmax`.
    keepdims : bool
        Whether the result keeps the last axis, with extent 1.
    """
    *outer, length = x.shape

    def program(
        r: Row, at: tuple[Expr, ...], inputs: list[tir.Buffer], out: tir.Buffer
    ) -> list[Stmt]:
        value = logits(inputs, 1.0, at)
        steps, top = rows.maximum(r, value)
        keep, center = rows.store_scalar(finite(top))
        sums, total = rows.total(r, lambda i: exp_bits.exp(value(i) - center, LADDER[method], ieee))
        result = store(out, center + exp_bits.log(total), [*at, 0] if keepdims else at)
        return [*steps, *keep, *sums, result]

    shape = [*outer, tir.const(1, dtype_of(length))] if keepdims else outer
    return over_rows([x], shape, program, "quake_logsumexp", str(x.dtype), **plan)
