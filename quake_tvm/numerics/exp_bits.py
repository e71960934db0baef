"""exp by its bits, and the few functions the operators need beside it, as float32 TIR expressions.

Two rules hold here and in :mod:`formulas`. Every product that is added to something is a
written ``fma``, so that no compiler decides about contraction and the bits are the same on every
target. And every ``max`` or ``min`` has its constant first: TVM lowers it to a compare
that yields the *second* operand when either is NaN, so NaN passes through clamps for nothing.

``ieee=False`` drops what only NaN and infinities need; finite inputs, however large, stay right
and keep their bits.
"""

import math
from collections.abc import Callable, Sequence

from ..tvm_version import Expr, fma, tir
from .ladder import EXPM1_SWITCH, LOG, Rung, affine_exp2

# float32 addition of 1.5*2^23 rounds to an integer, which then stands in the low mantissa bits;
# the 127 more is the exponent's bias.
ROUND = 1.5 * 2.0**23 + 127
# Subtracted before rounding, so that the rounding is a floor. The hair less than a half sends
# exact integers upwards, to fraction 0, for every |z| < 128.
HALF = 0.5 - 2.0**-17
# float32 addition of this leaves 15 bits of fraction, the exponent with its bias above them, and
# above that, in bit 23, a one. Shifted by 8 bits that is the sign.
FRACTION = 256.0 + 127
FRACTION_BITS = 15
# exp2 is 0 (by flushing) between these two, and infinite (by overflow) from 128 to 129.
Z_ZERO, Z_INFINITE = -126.75, 128.5
# The first float32 whose exp rounds to infinity.
EXP_OVERFLOW = 88.72283935546875
# Where the caller promises arguments up to 0, anything above this is a NaN.
PAST_ZERO = 200.0
# The bits of 9/8, quake1's weight at zero.
AT_ZERO = 0x3F900000
# What the other rungs' weights are multiplied by, for nothing. The weight at zero times its rounded
# reciprocal is then exactly 1, and its float32 neighbours lie where the results that come out equal
# near a row's maximum are less than an ulp apart: found by trying, held by
# tests/accuracy/test_row_sweep.py.
FACTOR = {2: 35 / 64, 3: 1.5, 4: 101 / 64, 5: 23 / 16}


def constant(value: float) -> Expr:
    """A float32 constant."""
    return tir.const(value, "float32")


def let(value: Expr, body: Callable[[Expr], Expr]) -> Expr:
    """Name ``value`` once and use it as often as ``body`` likes."""
    if isinstance(value, tir.Var):  # Relay's TVM fails over a name for a name
        return body(value)
    name = tir.Var("t", "float32")
    return tir.Let(name, value, body(name))


def bits(x: Expr) -> Expr:
    """The float's bits as int32."""
    return tir.reinterpret("int32", x)


def from_bits(i: Expr) -> Expr:
    """The float with these bits."""
    return tir.reinterpret("float32", i)


def horner(x: Expr, coefficients: Sequence[float]) -> Expr:
    """Polynomial with the given coefficients, lowest power first, one fma a degree."""
    result = constant(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = fma(result, x, constant(c))
    return result


def magnitude(x: Expr) -> Expr:
    """|x|, by its sign bit."""
    return from_bits(bits(x) & tir.const(0x7FFFFFFF, "int32"))


def with_sign_of(x: Expr, value: Expr) -> Expr:
    """``value``, which must not be negative, with the sign bit of x."""
    sign = bits(x) & tir.const(-0x80000000, "int32")
    return from_bits(bits(value) | sign)


def reciprocal(d: Expr) -> Expr:
    """1/d for positive normal d below 2^125: bit trick, then a cubic and a quadratic Newton step.

    The seed is within 5.1 %, the steps leave 1.8e-8 before rounding, on the low side: 1/d is
    never passed by more than rounding, so a quotient that must not exceed 1 does not.
    """

    def refine(d: Expr) -> Expr:
        seed = from_bits(tir.const(0x7EF311C7, "int32") - bits(d))

        def cubic(r: Expr) -> Expr:
            return let(fma(-d, r, constant(1)), lambda e: fma(fma(e, e, e), r, r))

        return let(let(seed, cubic), lambda r: let(fma(-d, r, constant(1)), lambda e: fma(e, r, r)))

    return let(d, refine)


def exp(
    x: Expr,
    rung: Rung,
    ieee: bool = True,
    scale: float = 1.0,
    shift: float = 0.0,
    low: float = -math.inf,
    high: float = math.inf,
) -> Expr:
    """exp(scale*x + shift); the results below the smallest normal float32 flush to zero.

    Parameters
    ----------
    scale, shift : float
        The affine input, folded into the constants (quake1) or into one of them (``scale``).
    low, high : float
        The caller's promise about the range of scale*x + shift (except NaN). Clamps that it makes
        needless are not emitted.

    Source: QuAKE (arXiv 2412.00408), eq. for quake1; the rest is :mod:`ladder`'s ladder.
    """
    if rung.degree == 1:
        return _exp_bits(x, rung, ieee, scale, shift, low, high)
    if shift:
        return exp(fma(x, constant(scale), constant(shift)), rung, ieee, low=low, high=high)
    if rung.degree == 2:
        return _exp_fraction(x, rung, scale, low, high)
    a, a_low, _ = affine_exp2(scale)
    log2e = math.log2(math.e)
    ends = {}
    if low * log2e < -126.99:
        ends["zero"] = constant(Z_ZERO / a)
    if high * log2e > 128.99:
        ends["infinite"] = constant(Z_INFINITE / a)
    for name, end in ends.items():
        lower = (name == "zero") == (a > 0)
        x = tir.max(end, x) if lower else tir.min(end, x)

    def split(x: Expr) -> Expr:
        floor = fma(x, constant(a), constant(-HALF)) + constant(ROUND)
        return let(floor, lambda t: pieces(x, t))

    def pieces(x: Expr, t: Expr) -> Expr:
        fraction = fma(x, constant(a), constant(ROUND) - t)
        if rung.degree == 5 and abs(a_low) > 2.0**-40:
            fraction = fma(x, constant(a_low), fraction)
        power = from_bits(bits(t) << 23)
        return let(fraction, lambda f: horner(f, rung.exp2)) * power

    return let(x, split)


def _exp_bits(
    x: Expr, rung: Rung, ieee: bool, scale: float, shift: float, low: float, high: float
) -> Expr:
    """quake1: the affine value in units of the last exponent bit *is* the result's bits."""
    unit = 2.0**23
    log2e = math.log2(math.e)
    balance = math.log2(rung.exp2[0])

    def build(x: Expr) -> Expr:
        y = fma(
            x,
            constant(scale * log2e * unit),
            constant((shift * log2e + balance + 127) * unit),
        )
        if low * log2e < -126.9:
            y = tir.max(constant(0), y)
        overflows = high * log2e > 127.9
        if not ieee:
            if overflows:
                y = tir.min(constant(255 * unit), y)
            return from_bits(tir.Cast("int32", y))
        # The bits of a NaN or of a value past the range mean nothing: choose before them.
        edge = (EXP_OVERFLOW if overflows else PAST_ZERO) - shift
        edge = constant(edge / scale)
        inside = x < edge if scale > 0 else x > edge
        outside = x
        if overflows:
            large = fma(x, constant(scale), constant(shift)) if shift else x
            outside = large * constant(math.inf if shift else math.copysign(math.inf, scale))
        return tir.Select(inside, from_bits(tir.Cast("int32", y)), outside)

    return let(x, build)


def _exp_fraction(x: Expr, rung: Rung, scale: float, low: float, high: float) -> Expr:
    """quake2: floor and fraction of z both come from the bits of z + FRACTION.

    z rounded to 2^-15 costs a relative 1.1e-5 of error, little beside the rung's own, and saves an
    instruction. The power of two comes with a minus, and so does the polynomial.
    """
    log2e = math.log2(math.e)
    t = fma(x, constant(scale * log2e), constant(FRACTION))
    if low * log2e < -126.99:
        t = tir.max(constant(FRACTION + Z_ZERO), t)
    if high * log2e > 128.99:
        t = tir.min(constant(FRACTION + Z_INFINITE), t)
    mask = tir.const(-(1 << FRACTION_BITS), "int32")

    def pieces(t: Expr, floor: Expr) -> Expr:
        power = from_bits(bits(floor) << (23 - FRACTION_BITS))
        return horner(t - floor, [-c for c in rung.exp2]) * power

    return let(t, lambda t: let(from_bits(bits(t) & mask), lambda floor: pieces(t, floor)))


def softmax_exp(t: Expr, rung: Rung, ieee: bool = True, scale: float = 1.0) -> Expr:
    """C exp(scale*t) for scale*t <= 0: what softmax divides by its sum, so that no C matters.

    :func:`exp` has steps of 1e-5 on the two lowest rungs, and an ulp's step down where polynomials
    meet on the next two. This one never falls, and is as fine as float32 near zero, where a row's
    largest elements are: see docs/row_operators.md.

    With n the integer nearest to z = scale*t*log2(e), exact since fma rounds once, the argument
    z - n + 1/2 of the rung's polynomial is in [0, 1]. There all terms rise, and so does what they
    round to.

    Parameters
    ----------
    scale : float
        Positive; folded into a constant.
    """
    if rung.degree == 1:
        return _weight_bits(t, ieee, scale)
    a, a_low, _ = affine_exp2(scale)

    def split(t: Expr) -> Expr:
        return let(fma(t, constant(a), constant(ROUND)), lambda n: pieces(t, n))

    def pieces(t: Expr, n: Expr) -> Expr:
        fraction = fma(t, constant(a), constant(ROUND) - n)
        if rung.degree == 5 and abs(a_low) > 2.0**-40:
            fraction = fma(t, constant(a_low), fraction)
        power = from_bits(bits(n) << 23)
        factor = FACTOR[rung.degree]
        if rung.degree == 2:  # 1 + 2f/3 + f^2/3 is ((1 + f)^2 + 2)/3
            h = fma(fraction, constant(factor), constant(1.5 * factor))
            return let(h, lambda h: fma(h, h, constant(2 * factor * factor))) * power
        scaled = [c * factor for c in rung.exp2]
        return let(fraction + constant(0.5), lambda f: horner(f, scaled)) * power

    return let(tir.max(constant(Z_ZERO / a), t), split)


def _weight_bits(t: Expr, ieee: bool, scale: float) -> Expr:
    """quake1: the bits are summed as integers; 9/8 at zero is about the middle of the errors."""
    unit = 2.0**23

    def build(t: Expr) -> Expr:
        z = tir.max(constant(-AT_ZERO), t * constant(scale * math.log2(math.e) * unit))
        inside = from_bits(tir.Cast("int32", z) + tir.const(AT_ZERO, "int32"))
        return tir.Select(t < constant(PAST_ZERO / scale), inside, t) if ieee else inside

    return let(t, build)


def exp2(x: Expr, rung: Rung, ieee: bool = True) -> Expr:
    """2^x."""
    return exp(x, rung, ieee, scale=math.log(2))


def expm1_negative(x: Expr, rung: Rung, ieee: bool) -> Expr:
    """exp(x) - 1 for x <= 0, relative to its own size near zero too; anything for x > 0."""

    def build(x: Expr) -> Expr:
        far = exp(x, rung, ieee, high=0) - constant(1)
        return tir.Select(x > constant(EXPM1_SWITCH), x * horner(x, rung.expm1), far)

    return let(x, build)


def log(x: Expr) -> Expr:
    """Natural logarithm to 1.5 ulp for every rung: one a row, so its cost does not count.

    Right for 0 (-inf), inf, NaN and positive normals; anything for negatives.
    """

    def build(x: Expr) -> Expr:
        half_up = bits(x) - tir.const(0x3F3504F3, "int32")  # sqrt(1/2)
        exponent = half_up >> 23
        mantissa = from_bits(bits(x) - (exponent << 23))
        e = tir.Cast("float32", exponent)
        finite = let(
            mantissa - constant(1),
            lambda r: fma(e, constant(math.log(2)), r * horner(r, LOG)),
        )
        edge = tir.Select(x <= constant(0), constant(-math.inf), x)
        inside = tir.all(x > constant(0), x < constant(math.inf))
        return tir.Select(inside, finite, edge)

    return let(x, build)
