"""The exact formulas of the operators: every approximation is compared with these.

Each formula is written once over a namespace ``m`` of elementary functions. The results are right
to a few float64 ulp everywhere, tails included. ``NUMPY`` evaluates a formula on arrays (tests, the
recogniser's comparison). ``LIBM`` builds float64 TIR that calls libm, so that a sweep over 2^32
inputs runs compiled. :func:`multiprecision` evaluates it for one number with 128 bits, where
float64 is not precise enough. Knows nothing of the approximations.
"""

import math
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import QuakeError
from ..tvm_version import Expr, tir


def _float64(value: Any) -> Expr:
    return value if isinstance(value, Expr) else tir.const(float(value), "float64")


def _libm(name: str) -> Any:
    return lambda x: tir.call_pure_extern("float64", name, x)


NUMPY = SimpleNamespace(
    **{name: getattr(np, name) for name in ("exp", "exp2", "expm1", "log1p", "tanh", "where")},
    abs=np.abs,
    maximum=np.maximum,
    minimum=np.minimum,
    sqrt=math.sqrt,
    pi=math.pi,
    erf=np.vectorize(math.erf, otypes=["float64"]),
    erfc=np.vectorize(math.erfc, otypes=["float64"]),
)
LIBM = SimpleNamespace(
    **{name: _libm(name) for name in ("exp", "exp2", "expm1", "log1p", "tanh", "erf", "erfc")},
    abs=tir.abs,
    maximum=lambda a, b: tir.max(_float64(a), _float64(b)),
    minimum=lambda a, b: tir.min(_float64(a), _float64(b)),
    where=lambda c, a, b: tir.Select(c, _float64(a), _float64(b)),
    sqrt=math.sqrt,
    pi=math.pi,
)


@cache
def multiprecision() -> Any:
    """The namespace of mpmath's functions, with a precision of 128 bits.

    Raises
    ------
    QuakeError
        If mpmath is not installed.
    """
    try:
        import mpmath
    except ImportError:
        raise QuakeError("the exact values need mpmath: pip install mpmath") from None
    m = mpmath.MPContext()
    m.prec = 128
    names = ("exp", "expm1", "log1p", "tanh", "erf", "erfc", "sqrt")
    return SimpleNamespace(
        **{name: getattr(m, name) for name in names},
        number=m.mpf,
        exp2=lambda x: m.power(2, x),
        abs=abs,
        maximum=max,
        minimum=min,
        where=lambda c, a, b: a if c else b,
        pi=m.pi,
    )


def exp(m: Any, x: Any) -> Any:
    return m.exp(x)


def exp2(m: Any, x: Any) -> Any:
    return m.exp2(x)


def sigmoid(m: Any, x: Any) -> Any:
    return 1.0 / (1.0 + m.exp(-x))


def tanh(m: Any, x: Any) -> Any:
    return m.tanh(x)


def erf(m: Any, x: Any) -> Any:
    return m.erf(x)


def silu(m: Any, x: Any, beta: float = 1.0) -> Any:
    return x * sigmoid(m, x * beta)


def gelu(m: Any, x: Any) -> Any:
    return x * m.erfc(x * -m.sqrt(0.5)) * 0.5


def gelu_tanh(m: Any, x: Any) -> Any:
    cubic = x + 0.044715 * x * x * x
    return x * sigmoid(m, 2 * m.sqrt(2 / m.pi) * cubic)


def softplus(m: Any, x: Any, beta: float = 1.0) -> Any:
    y = x * beta
    return (m.maximum(y, 0.0) + m.log1p(m.exp(-m.abs(y)))) / beta


def mish(m: Any, x: Any) -> Any:
    return x * m.tanh(softplus(m, x))


def elu(m: Any, x: Any, alpha: float = 1.0) -> Any:
    return m.where(x > 0.0, x, alpha * m.expm1(x))


def selu(
    m: Any, x: Any, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805
) -> Any:
    return gamma * elu(m, x, alpha)


def celu(m: Any, x: Any, alpha: float = 1.0) -> Any:
    return m.where(x > 0.0, x, alpha * m.expm1(x / alpha))
