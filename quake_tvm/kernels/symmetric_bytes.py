"""Numbers as bytes from -127 to 127 times a scale, without a zero point, as statements.

Rows of them share a scale; groups of them are what dot products take. Knows no operator.
"""

from collections.abc import Callable

from ..numerics.byte_dots import Format
from ..numerics.exp_bits import bits, constant, from_bits
from ..tvm_version import alloc, fma, tir
from . import rows
from .byte_groups import LEAST_SCALE, ROUNDING
from .rows import Expr, Stmt

_ABSOLUTE = 0x7FFFFFFF


def over_lanes(count: int, body: Callable[[Expr], Stmt]) -> Stmt:
    """A vectorized loop."""
    return rows.loop(count, body, tir.ForKind.VECTORIZED)


def magnitude(x: Expr) -> Expr:
    """An integer that rises with |x|. That of NaN is the largest."""
    return bits(x) & tir.const(_ABSOLUTE, "int32")


def scale_of(top: Expr) -> Expr:
    """The scale of numbers of which the largest has this magnitude, NaN if one is not finite."""
    largest = from_bits(top)
    return fma(largest, constant(0), tir.max(constant(LEAST_SCALE), largest * constant(1 / 127)))


def column_scales(
    count: int | Expr,
    lanes: int,
    element: Callable[[Expr, Expr], Expr],
    into: tir.Buffer,
    first: Expr,
) -> tuple[list[Stmt], tir.Buffer]:
    """Scales of neighbouring columns.

    Parameters
    ----------
    count, lanes : int or Expr
        Numbers in a column, and columns.
    element : callable
        (number in a column, column) to the number.
    into : Buffer
        Gets the scales, the first one at ``first``.

    Returns
    -------
    list of Stmt, Buffer
        The statements that compute them, and the buffer of their reciprocals.
    """
    top, inverse = rows.local(lanes, "int32"), rows.local(lanes)

    def each(body: Callable[[Expr], Stmt]) -> Stmt:
        return over_lanes(lanes, body)

    def scan(k: Expr) -> Stmt:
        return each(lambda n: tir.BufferStore(top, tir.max(top[n], magnitude(element(k, n))), [n]))

    return [
        *map(alloc, (top, inverse)),
        each(lambda n: tir.BufferStore(top, tir.const(0, "int32"), [n])),
        rows.loop(count, scan, most=1),
        each(lambda n: tir.BufferStore(into, scale_of(top[n]), [first + n])),
        each(lambda n: tir.BufferStore(inverse, constant(1) / into[first + n], [n])),
    ], inverse


def joined(form: Format, element: Callable[[int], Expr], inverse: Expr, several: int) -> Expr:
    """The group of the first ``several`` elements, quantized, and of zeros."""
    size = form.bits
    group = tir.const(0, "int32")
    for n in range(several):
        integer = bits(fma(element(n), inverse, constant(ROUNDING)))
        low = integer & tir.const((1 << size) - 1, "int32")
        group = group | low << tir.const(n * size, "int32")
    return group


def over_groups(form: Format, count: int | Expr, group: Callable[[Expr, int], Stmt]) -> Stmt:
    """The statements of all groups of so many elements, the last of which may not be whole."""
    whole, size = count // form.group, form.group
    known = rows.fixed(count)
    steps = [rows.loop(whole, lambda g: group(g, size), most=1)] if known != 0 else []
    for rest in range(1, size):
        if known is None:
            last = group(whole, rest)
            steps.append(tir.IfThenElse(count % size == rest, last, None))
        elif known % size == rest:
            steps.append(group(tir.const(whole, "int64"), rest))
    return rows.sequence(*steps)
