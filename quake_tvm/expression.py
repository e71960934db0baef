"""The operators on any rung of the ladder, as float32 TIR expressions.

Each function maps one expression to one expression and walks no module. Two rules hold in all of
them. Every product that is added to something is a written ``fma``, so that no compiler decides
about contraction and the bits are the same on every target with FMA. And every ``max`` or ``min``
has its constant first: TVM lowers it to a compare that yields the *second* operand when either is
NaN, so NaN passes through clamps for nothing.

``ieee=False`` drops what only NaN and infinities need; finite inputs, however large, stay right
and keep their bits.
"""

import math
from collections.abc import Callable, Sequence

from .approximation import (
    ERF_SWITCH,
    ERFCX_CENTER,
    EXPM1_SWITCH,
    LOG,
    TANH_SWITCH,
    Rung,
    affine_exp2,
)
from .generation import fma, tir

Expr = tir.Expr

# float32 addition of 1.5*2^23 rounds to an integer, which then stands in the low mantissa bits;
# the 127 more is the exponent's bias.
ROUND = 1.5 * 2.0**23 + 127
# Subtracted before rounding, so that the rounding is a floor. The hair less than a half sends
# exact integers upwards, to fraction 0, for every |z| < 128.
HALF = 0.5 - 2.0**-17
# exp2 is 0 (by flushing) between these two, and infinite (by overflow) from 128 to 129.
Z_ZERO, Z_INFINITE = -126.75, 128.5
# The first float32 whose exp rounds to infinity.
EXP_OVERFLOW = 88.72283935546875
# exp(-u^2/2) has flushed to zero here, and x*sigmoid(x) long before -UNIT_REACH.
GELU_REACH = 13.2557
UNIT_REACH = 200.0
# 1 - exp(-u^2) erfcx(u) is 1 here on every rung, at the end of where erfcx was fitted.
ERF_REACH = 2 * ERFCX_CENTER


def constant(value: float) -> Expr:
    """A float32 constant."""
    return tir.const(value, "float32")


def let(value: Expr, body: Callable[[Expr], Expr]) -> Expr:
    """Name ``value`` once and use it as often as ``body`` likes."""
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
        The caller's promise about the range of scale*x + shift (NaN apart). Clamps that it makes
        needless are not emitted.

    Source: QuAKE (arXiv 2412.00408), eq. for quake1; the rest is :mod:`approximation`'s ladder.
    """
    if rung.degree == 1:
        return _exp_bits(x, rung, ieee, scale, shift, low, high)
    if shift:
        return exp(fma(x, constant(scale), constant(shift)), rung, ieee, low=low, high=high)
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
        edge = (EXP_OVERFLOW if overflows else UNIT_REACH) - shift
        edge = constant(edge / scale)
        inside = x < edge if scale > 0 else x > edge
        outside = x
        if overflows:
            large = fma(x, constant(scale), constant(shift)) if shift else x
            outside = large * constant(math.inf if shift else math.copysign(math.inf, scale))
        return tir.Select(inside, from_bits(tir.Cast("int32", y)), outside)

    return let(x, build)


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


def sigmoid(x: Expr, rung: Rung, ieee: bool = True, scale: float = 1.0) -> Expr:
    """1/(1 + exp(-scale*x)), scale > 0, from exp(-|x|) so that neither tail loses digits."""
    return let(x, lambda x: _sigmoid(x, rung, ieee, scale, lambda s: s))


def _sigmoid(x: Expr, rung: Rung, ieee: bool, scale: float, use: Callable[[Expr], Expr]) -> Expr:
    e = exp(magnitude(x), rung, ieee, scale=-scale, high=0)
    return let(
        e,
        lambda e: let(
            reciprocal(constant(1) + e),
            lambda r: use(tir.Select(x >= constant(0), r, e * r)),
        ),
    )


def _gated(
    x: Expr, gate: Callable[[Expr], Expr], rung: Rung, ieee: bool, scale: float = 1.0
) -> Expr:
    """x * sigmoid(scale*gate(x)); at x = -inf the gate is 0 and x must not be infinite."""

    def build(x: Expr) -> Expr:
        factor = tir.max(constant(-UNIT_REACH / scale), x) if ieee else x
        return let(gate(x), lambda y: _sigmoid(y, rung, ieee, scale, lambda s: factor * s))

    return let(x, build)


def silu(x: Expr, rung: Rung, ieee: bool = True, beta: float = 1.0) -> Expr:
    """x * sigmoid(beta*x), beta > 0: SiLU, Swish, and GELU's quick form with beta = 1.702."""
    return _gated(x, lambda x: x, rung, ieee, beta)


def gelu_tanh(x: Expr, rung: Rung, ieee: bool = True) -> Expr:
    """x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), which is x times a sigmoid."""
    linear = 2 * math.sqrt(2 / math.pi)

    def cubic(x: Expr) -> Expr:
        return x * fma(x * x, constant(linear * 0.044715), constant(linear))

    return _gated(x, cubic, rung, ieee)


def _erfcx(u: Expr, rung: Rung, unit: float, factor: float) -> Expr:
    """factor * exp(v^2) erfc(v) at v = u*unit."""
    coefficients = [c * factor * unit**k for k, c in enumerate(rung.erfcx)]
    return let(u - constant(ERFCX_CENTER / unit), lambda v: horner(v, coefficients))


def gelu(x: Expr, rung: Rung, ieee: bool = True) -> Expr:
    """x Phi(x) as max(x, 0) - |x| Phi(-|x|), with Phi(-u) = exp(-u^2/2) erfcx(u/sqrt(2))/2."""
    # quake1's bits reach zero a little later than the other rungs' flush.
    reach = GELU_REACH if rung.degree > 1 else math.ceil(GELU_REACH)

    def tail(x: Expr, u: Expr) -> Expr:
        low = -126.9 if rung.degree > 1 else -math.inf
        e = exp(u * u, rung, ieee, scale=-0.5, low=low * math.log(2), high=0)
        return fma(-(u * _erfcx(u, rung, math.sqrt(0.5), 0.5)), e, tir.max(constant(0), x))

    return let(x, lambda x: let(tir.min(constant(reach), magnitude(x)), lambda u: tail(x, u)))


def erf(x: Expr, rung: Rung, ieee: bool = True) -> Expr:
    """erf(x): odd polynomial near zero, 1 - exp(-x^2) erfcx(x) beyond, 1 from |x| = 4 or so."""

    def build(x: Expr, u: Expr) -> Expr:
        e = exp(u * u, rung, ieee, scale=-1.0, low=-ERF_REACH * ERF_REACH, high=0)
        far = fma(-_erfcx(u, rung, 1.0, 1.0), e, constant(1))
        near = x * horner(u * u, rung.erf)
        return tir.Select(u < constant(ERF_SWITCH), near, with_sign_of(x, far))

    return let(x, lambda x: let(tir.min(constant(ERF_REACH), magnitude(x)), lambda u: build(x, u)))


def tanh(x: Expr, rung: Rung, ieee: bool = True) -> Expr:
    """tanh(x): odd polynomial near zero, (1 - e)/(1 + e) with e = exp(-2|x|) beyond."""

    def build(x: Expr, u: Expr) -> Expr:
        e = exp(u, rung, ieee, scale=-2.0, high=0)
        far = let(e, lambda e: (constant(1) - e) * reciprocal(constant(1) + e))
        near = x * horner(u * u, rung.tanh)
        return tir.Select(u < constant(TANH_SWITCH), near, with_sign_of(x, far))

    return let(x, lambda x: let(magnitude(x), lambda u: build(x, u)))


def softplus(x: Expr, rung: Rung, ieee: bool = True, beta: float = 1.0) -> Expr:
    """log(1 + exp(beta*x))/beta, beta > 0, as max(x, 0) + log1p(exp(-beta|x|))/beta."""
    coefficients = [c / beta for c in rung.log1p]

    def build(x: Expr) -> Expr:
        e = exp(magnitude(x), rung, ieee, scale=-beta, high=0)
        return let(e, lambda e: fma(e, horner(e, coefficients), tir.max(constant(0), x)))

    return let(x, build)


def mish(x: Expr, rung: Rung, ieee: bool = True) -> Expr:
    """x tanh(softplus(x)), rational in e = exp(-|x|): x n/(n + m) without overflow.

    For x >= 0, n = 1 + 2e and m = 2e^2; for x < 0, n = e(e + 2) and m = 2.
    """

    def build(x: Expr, e: Expr) -> Expr:
        positive = x >= constant(0)
        factor = tir.max(constant(-UNIT_REACH), x) if ieee else x
        n = tir.Select(positive, fma(e, constant(2), constant(1)), e * (e + constant(2)))
        m = tir.Select(positive, e * e * constant(2), constant(2))
        return let(n, lambda n: factor * (n * reciprocal(n + m)))

    return let(
        x, lambda x: let(exp(magnitude(x), rung, ieee, scale=-1.0, high=0), lambda e: build(x, e))
    )


def elu(x: Expr, rung: Rung, ieee: bool = True, alpha: float = 1.0) -> Expr:
    """x for x > 0, alpha (exp(x) - 1) else."""

    def build(x: Expr) -> Expr:
        return tir.Select(x > constant(0), x, constant(alpha) * expm1_negative(x, rung, ieee))

    return let(x, build)


def selu(
    x: Expr,
    rung: Rung,
    ieee: bool = True,
    alpha: float = 1.6732632423543772,
    gamma: float = 1.0507009873554805,
) -> Expr:
    """gamma*x for x > 0, gamma*alpha (exp(x) - 1) else (arXiv 1706.02515)."""

    def build(x: Expr) -> Expr:
        negative = constant(gamma * alpha) * expm1_negative(x, rung, ieee)
        return tir.Select(x > constant(0), constant(gamma) * x, negative)

    return let(x, build)


def celu(x: Expr, rung: Rung, ieee: bool = True, alpha: float = 1.0) -> Expr:
    """x for x > 0, alpha (exp(x/alpha) - 1) else, alpha > 0 (arXiv 1704.07483)."""

    def build(x: Expr) -> Expr:
        negative = constant(alpha) * expm1_negative(x * constant(1 / alpha), rung, ieee)
        return tir.Select(x > constant(0), x, negative)

    return let(x, build)
