"""The element-wise operators on any rung, as float32 TIR expressions.

Each function maps one expression to one expression and walks no module. Its parameters are the
float32 input, the rung, whether NaN and infinities must come out right (``ieee``), and the
formula's own parameters.

The formulas are chosen for accuracy near zero and in the tails. They are built on exp of a
non-positive argument. Where a difference would lose digits, a separate polynomial is used.
"""

import math
from collections.abc import Callable

from ..tvm_version import fma, tir
from .exp_bits import (
    Expr,
    constant,
    exp,
    exp2,
    expm1_negative,
    horner,
    let,
    magnitude,
    reciprocal,
    with_sign_of,
)
from .ladder import ERF_SWITCH, ERFCX_CENTER, TANH_SWITCH, Rung

__all__ = [
    "celu",
    "elu",
    "erf",
    "exp",
    "exp2",
    "gelu",
    "gelu_tanh",
    "mish",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]

# exp(-u^2/2) is flushed to zero from GELU_REACH on; x*sigmoid(x) long before -UNIT_REACH.
GELU_REACH = 13.2557
UNIT_REACH = 200.0
# 1 - exp(-u^2) erfcx(u) is 1 here on every rung. erfcx was fitted up to this value.
ERF_REACH = 2 * ERFCX_CENTER


def sigmoid(x: Expr, rung: Rung, ieee: bool = True, scale: float = 1.0) -> Expr:
    """1/(1 + exp(-scale*x)), scale > 0, from exp(-|x|) so that neither tail loses digits."""

    def select(x: Expr, e: Expr) -> Expr:
        r = reciprocal(constant(1) + e)
        return let(r, lambda r: tir.Select(x < constant(0), e * r, r))

    def build(x: Expr) -> Expr:
        e = exp(magnitude(x), rung, ieee, scale=-scale, high=0)
        return let(e, lambda e: select(x, e))

    return let(x, build)


def _gated(
    x: Expr, gate: Callable[[Expr], Expr], rung: Rung, ieee: bool, scale: float = 1.0
) -> Expr:
    """x * sigmoid(scale*gate(x)). x is clamped to be finite, since at -inf the sigmoid is 0."""

    def build(x: Expr) -> Expr:
        factor = tir.max(constant(-UNIT_REACH / scale), x) if ieee else x
        return factor * sigmoid(gate(x), rung, ieee, scale)

    return let(x, build)


def silu(x: Expr, rung: Rung, ieee: bool = True, beta: float = 1.0) -> Expr:
    """x * sigmoid(beta*x), beta > 0: SiLU, Swish, and with beta = 1.702 the quick form of GELU."""
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
    # quake1 reaches zero at a slightly larger u than the other rungs.
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
    """tanh(x): odd polynomial near zero, (1 - e)/(1 + e) with e = exp(-2|x|) beyond.

    On the two lowest rungs one odd polynomial serves everywhere, clamped to [-1, 1].
    """

    def whole(x: Expr) -> Expr:
        return tir.min(constant(1), tir.max(constant(-1), x * horner(x * x, rung.tanh)))

    def build(x: Expr, u: Expr) -> Expr:
        e = exp(u, rung, ieee, scale=-2.0, high=0)
        far = let(e, lambda e: (constant(1) - e) * reciprocal(constant(1) + e))
        near = x * horner(u * u, rung.tanh)
        return tir.Select(u < constant(TANH_SWITCH), near, with_sign_of(x, far))

    if rung.tanh_whole:
        return let(x, whole)
    return let(x, lambda x: let(magnitude(x), lambda u: build(x, u)))


def softplus(x: Expr, rung: Rung, ieee: bool = True, beta: float = 1.0) -> Expr:
    """log(1 + exp(beta*x))/beta, beta > 0, as max(x, 0) + log1p(exp(-beta|x|))/beta."""
    coefficients = [c / beta for c in rung.log1p]

    def build(x: Expr) -> Expr:
        e = exp(magnitude(x), rung, ieee, scale=-beta, high=0)
        return let(e, lambda e: fma(e, horner(e, coefficients), tir.max(constant(0), x)))

    return let(x, build)


def mish(x: Expr, rung: Rung, ieee: bool = True) -> Expr:
    """x tanh(softplus(x)), rational in e = exp(-|x|): x n/(n + m), which cannot overflow.

    For x >= 0, n = 1 + 2e and m = 2e^2. For x < 0, n = e(e + 2) and m = 2.
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
