"""Rows of bytes, or of floats that become bytes, as the groups that dot products take.

Generated as statements with :mod:`rows`. Knows no graph and no target.
"""

from collections.abc import Callable, Sequence

from tvm import te

from ..numerics.byte_dots import FORMATS, Format
from ..numerics.exp_bits import constant
from ..tvm_version import Stmt, dtype_of, fma, tir
from . import row_kernel, rows
from .rows import Expr, Row

# Adding this to a float rounds it to an integer, which is then in the low bits.
ROUNDING = 1.5 * 2**23
# The least scale of a quantized row. Its reciprocal is a normal number.
LEAST_SCALE = 2.0**-108
# (index of the first element, how many) to as many elements of a group's format.
Elements = Callable[[Expr, int], Expr]


def form(left: str) -> Format:
    """The format whose left operand has elements of this dtype."""
    return next(each for each in FORMATS if each.left == left)


def byte_groups(x: te.Tensor, *, left: str, **plan: int) -> te.Tensor:
    """The elements of each row in groups.

    Parameters
    ----------
    x : Tensor
        int8 or uint8, of shape (.., k).
    left : str
        The dtype of a group's elements. Those of the other 8-bit dtype are shifted by 128.
    **plan
        Options of :func:`row_kernel.kernel`.

    Returns
    -------
    Tensor
        int32, of shape (.., k/group), rounded up. What fills the last group is not defined.
    """
    made = form(left)
    *outer, length = x.shape
    k = int(length)
    flip = 0x80 if made.shift(x.dtype) else 0

    def body(x: tir.Buffer, out: tir.Buffer) -> Stmt:
        def program(_: Row, at: tuple[Expr, ...]) -> list[Stmt]:
            def elements(start: Expr, count: int) -> Expr:
                loaded = tir.BufferLoad(x, [*at, _along(start, count)])
                if flip:
                    loaded = tir.reinterpret(_wide("uint8", count), loaded)
                    loaded = loaded ^ _all(tir.const(flip, "uint8"), count)
                return tir.Cast(_wide(made.left, count), loaded) if made.bits > 8 else loaded

            return _grouped(made, k, elements, out, at)

        return row_kernel.kernel(outer, k, program, **plan)

    return te.extern(
        [(*outer, -(-k // made.group))],
        [x],
        lambda ins, outs: body(ins[0], outs[0]),
        name="quake_byte_groups",
        dtype="int32",
    )


def quantized_rows(x: te.Tensor, *, left: str, **plan: int) -> list[te.Tensor]:
    """Each row as bytes with a scale and a zero point of its own: x = scale*(q - zero).

    The bytes span the row's values and 0. The scale of a row with a NaN or an infinity is NaN.

    Parameters
    ----------
    x : Tensor
        float32, of shape (.., k).
    left : str
        The dtype of the bytes as elements of groups.
    **plan
        Options of :func:`row_kernel.kernel`.

    Returns
    -------
    list of Tensor
        The groups as of :func:`byte_groups`; the scales, float32, and the zero points, int32, both
        of shape (..).
    """
    made = form(left)
    *outer, length = x.shape
    k = int(length)

    def body(x: tir.Buffer, *into: tir.Buffer) -> Stmt:
        def program(r: Row, at: tuple[Expr, ...]) -> list[Stmt]:
            return quantized_row(made, k, r, lambda i: tir.BufferLoad(x, [*at, i]), into, at)

        return row_kernel.kernel(outer, k, program, **plan)

    return te.extern(
        [(*outer, -(-k // made.group)), tuple(outer), tuple(outer)],
        [x],
        lambda ins, outs: body(ins[0], *outs),
        name="quake_quantized_rows",
        dtype=["int32", "float32", "int32"],
    )


def quantized_row(
    made: Format,
    k: int,
    r: Row,
    load: Callable[[Expr], Expr],
    into: Sequence[tir.Buffer],
    at: Sequence[Expr],
) -> list[Stmt]:
    """Quantize a row of k elements as :func:`quantized_rows` does.

    Parameters
    ----------
    made : Format
    k : int
    r : Row
    load : callable
        The index of an element, or of neighbouring ones, to their values.
    into : sequence of Buffer
        Get the groups, the scale and the zero point.
    at : sequence of Expr
        The row's indices in these.
    """
    out, scales, zeros = into

    def nothing(sum: Expr, value: Expr) -> Expr:
        return fma(value, constant(0), sum)

    def add(a: Expr, b: Expr) -> Expr:
        return a + b

    lows, low = r.reduce(load, tir.min, tir.min, constant(0))
    highs, high = r.reduce(load, tir.max, tir.max, constant(0))
    # 0, but NaN if the row has a NaN or an infinity.
    checks, poison = r.reduce(load, nothing, add, constant(0), constant(0))
    step = fma(high, constant(1 / 255), low * constant(-1 / 255))
    keep_scale, scale = rows.store_scalar(tir.max(constant(LEAST_SCALE), step))
    keep_inverse, inverse = rows.store_scalar(constant(1) / scale)
    keep_zero, zero = rows.store_scalar(
        fma(constant(0) - low, inverse, constant(ROUNDING + made.least))
    )

    def elements(start: Expr, count: int) -> Expr:
        loaded = load(_along(start, count))
        rounded = fma(loaded, _all(inverse, count), _all(zero, count))
        first = constant(ROUNDING + made.least)
        last = constant(ROUNDING + made.least + 255)
        inside = tir.max(_all(first, count), tir.min(_all(last, count), rounded))
        return tir.Cast(_wide(made.left, count), _bits(inside))

    return [
        *lows,
        *highs,
        *checks,
        *keep_scale,
        *keep_inverse,
        *keep_zero,
        tir.BufferStore(scales, scale + poison, at),
        tir.BufferStore(zeros, _bits(zero) - _bits(constant(ROUNDING)), at),
        *_grouped(made, k, elements, out, at),
    ]


def _grouped(
    made: Format, k: int, elements: Elements, out: tir.Buffer, at: Sequence[Expr]
) -> list[Stmt]:
    """Store a row of k elements: sixteen at once, then group after group."""

    def store(group: Expr, elements: Expr, count: int) -> Stmt:
        index = _along(group, count)
        return tir.BufferStore(out, tir.reinterpret(_wide("int32", count), elements), [*at, index])

    def chunk(c: Expr) -> Stmt:
        first = c * rows.LANES
        return store(c * wide, elements(first, rows.LANES), wide)

    def last(number: int) -> Stmt:
        first = number * made.group
        several = min(made.group, k - first)
        index = tir.const(first, "int64")
        if several == made.group:
            return store(tir.const(number, "int64"), elements(index, several), 1)
        # The last group is not whole.
        bits = tir.const(0, "uint32")
        for n in range(several):
            one = tir.Cast("uint32", elements(index + n, 1)) & tir.const(2**made.bits - 1, "uint32")
            bits = bits | one << tir.const(n * made.bits, "uint32")
        return store(tir.const(number, "int64"), bits, 1)

    wide = rows.LANES // made.group
    chunks = k // rows.LANES
    steps = [rows.loop(chunks, chunk)] if chunks else []
    return [*steps, *map(last, range(chunks * wide, -(-k // made.group)))]


def _wide(dtype: str, count: int) -> str:
    return dtype if count == 1 else f"{dtype}x{count}"


def _along(start: Expr, count: int) -> Expr:
    return start if count == 1 else tir.Ramp(start, tir.const(1, dtype_of(start)), count)


def _all(value: Expr, count: int) -> Expr:
    return value if count == 1 else tir.Broadcast(value, count)


def _bits(value: Expr) -> Expr:
    return tir.reinterpret(dtype_of(value).replace("float32", "int32"), value)
