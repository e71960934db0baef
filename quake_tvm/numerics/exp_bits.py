"""exp by bit manipulation, and the helper functions of the operators, as float32 TIR expressions.

Two rules hold here and in :mod:`formulas`. First: every product that is added to something is an
explicit ``fma``. Then no compiler decides about contraction, and the bits are the same on every
target. Second: every ``max`` or ``min`` has its constant as the first operand. TVM lowers ``max``
and ``min`` to a compare that yields the *second* operand when either is NaN, so NaN passes through
clamps at no cost.

``ieee=False`` drops the instructions that only NaN and infinities need. Results for finite inputs
keep their bits, however large the inputs are.
"""

import math
from collections.abc import Callable, Sequence

from ..tvm_version import Expr, fma, tir
from .ladder import EXPM1_SWITCH, LOG, Rung, affine_exp2

# Adding 1.5*2^23 in float32 rounds to an integer, which then stands in the low mantissa bits. The
# additional 127 is the exponent's bias.
ROUND = 1.5 * 2.0**23 + 127
# Subtracted before rounding, so that the rounding becomes a floor. The value is slightly less than
# a half: exact integers then round upwards, to fraction 0, for every |z| < 128.
HALF = 0.5 - 2.0**-17
# Adding this in float32 leaves 15 bits of fraction, above them the biased exponent, and above that,
# in bit 23, a one. Shifted left by 8 bits, this one becomes the sign bit.
FRACTION = 256.0 + 127
FRACTION_BITS = 15
# Clamps of z: 2^z is flushed to 0 at the first and overflows to infinity at the second (any value
# from 128 to 129 does).
Z_ZERO, Z_INFINITE = -126.75, 128.5
# The first float32 whose exp rounds to infinity.
EXP_OVERFLOW = 88.72283935546875
# Where the caller guarantees arguments of at most 0, any argument not below this is a NaN.
PAST_ZERO = 200.0
# The bits of 9/8, the value of quake1's softmax_exp at zero.
AT_ZERO = 0x3F900000
# Factors of softmax_exp on the other rungs. They cost no instruction. With these factors,
# softmax_exp at zero times its rounded reciprocal is exactly 1, and equal results near a row's
# maximum come from exact values that are less than an ulp apart. The factors were found by trying;
# tests/accuracy/test_row_sweep.py checks them.
FACTOR = {2: 35 / 64, 3: 1.5, 4: 101 / 64, 5: 23 / 16}


def constant(value: float) -> Expr:
    """A float32 constant."""
    return tir.const(value, "float32")


def let(value: Expr, body: Callable[[Expr], Expr]) -> Expr:
    """Bind ``value`` to a name once; ``body`` may use the name any number of times."""
    if isinstance(value, tir.Var):  # Relay's TVM fails on a Let whose value is a variable
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
    """Polynomial with the given coefficients, lowest power first; one fma per degree."""
    result = constant(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = fma(result, x, constant(c))
    return result


def magnitude(x: Expr) -> Expr:
    """|x|, by clearing the sign bit."""
    return from_bits(bits(x) & tir.const(0x7FFFFFFF, "int32"))


def with_sign_of(x: Expr, value: Expr) -> Expr:
    """``value``, which must not be negative, with the sign bit of ``x``."""
    sign = bits(x) & tir.const(-0x80000000, "int32")
    return from_bits(bits(value) | sign)


def reciprocal(d: Expr) -> Expr:
    """1/d for positive normal d below 2^125: bit manipulation and two Newton steps.

    The initial value, from the bits, is within 5.1 %. The cubic and the quadratic step leave a
    relative error of 1.8e-8 before rounding, always below 1/d. So the result exceeds 1/d by
    rounding at most, and a quotient that must not exceed 1 does not.
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
    """exp(scale*x + shift). Results below the smallest normal float32 are flushed to zero.

    Parameters
    ----------
    x : PrimExpr
        float32.
    rung : Rung
    ieee : bool
        Whether NaN and infinities must come out right.
    scale, shift : float
        The affine input, folded into the constants (quake1), or ``scale`` into one of them.
    low, high : float
        The range of scale*x + shift (except NaN) that the caller guarantees. Clamps that this range
        makes needless are not emitted.

    Source: QuAKE (arXiv 2412.00408), equation for quake1; the polynomials are those of
    :mod:`ladder`.
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
        # The cast of a NaN or of a value out of range is meaningless, so the select compares the
        # input.
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
    """quake2: floor and fraction of z are both read from the bits of z + FRACTION.

    Rounding z to 2^-15 costs a relative error of 1.1e-5, which is small against the rung's error,
    and saves an instruction. The power of two comes out negative, so the polynomial is negated too.
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
    """C exp(scale*t) for scale*t <= 0. softmax divides by the sum, so the constant C cancels.

    :func:`exp` has steps of 1e-5 on the two lowest rungs. On the next two rungs it falls by an ulp
    where polynomial pieces meet. This form never falls as t rises, and is as fine as float32 near
    zero, where the largest elements of a row are: see docs/row_operators.md.

    Let n be the integer nearest to z = scale*t*log2(e); z - n is exact, since fma rounds once. The
    argument z - n + 1/2 of the rung's polynomial is in [0, 1]. There all terms are increasing, and
    so are their rounded values.

    Parameters
    ----------
    t : PrimExpr
        float32.
    rung : Rung
    ieee : bool
        Whether NaN must come out right.
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
    """softmax_exp on quake1: the bits are added as integers. 9/8 roughly centres the errors."""
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
    """exp(x) - 1 for x <= 0, with a small relative error near zero too. Undefined for x > 0."""

    def build(x: Expr) -> Expr:
        far = exp(x, rung, ieee, high=0) - constant(1)
        return tir.Select(x > constant(EXPM1_SWITCH), x * horner(x, rung.expm1), far)

    return let(x, build)


def log(x: Expr) -> Expr:
    """Natural logarithm within 1.5 ulp, on every rung: one logarithm per row is cheap.

    Right for 0 (-inf), inf, NaN and positive normal numbers. Undefined for negative numbers.
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
