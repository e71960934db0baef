"""The functions that the gates of a recurrent layer apply, on any rung or exact.

Each maps one float32 expression to one expression. Knows no cell and no loop.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..numerics.exp_bits import constant, let, magnitude
from ..numerics.ladder import LADDER
from ..numerics.operators import OPERATORS
from ..tvm_version import Expr, fma, tir

Exact = Callable[[Expr, float, float], Expr]


def _softplus(x: Expr) -> Expr:
    return tir.max(constant(0), x) + tir.log(constant(1) + tir.exp(-magnitude(x)))


def _elu(x: Expr, alpha: float) -> Expr:
    negative = constant(alpha) * (tir.exp(tir.min(constant(0), x)) - constant(1))
    return tir.Select(x > constant(0), x, negative)


def _hard_sigmoid(x: Expr, alpha: float, beta: float) -> Expr:
    line = fma(x, constant(alpha), constant(beta))
    return tir.max(constant(0), tir.min(constant(1), line))


@dataclass(frozen=True)
class _Kind:
    """A function of x, alpha and beta.

    Attributes
    ----------
    exact : callable
        The function; where it has an exponential, in float32 with TVM's intrinsics.
    operator : str
        The registry's operator that it consists of, empty if it has no exponential.
    """

    exact: Exact
    operator: str = ""


_KINDS = {
    "sigmoid": _Kind(lambda x, a, b: tir.sigmoid(x), "sigmoid"),
    "tanh": _Kind(lambda x, a, b: tir.tanh(x), "tanh"),
    "softplus": _Kind(lambda x, a, b: _softplus(x), "softplus"),
    "elu": _Kind(lambda x, a, b: _elu(x, a), "elu"),
    "relu": _Kind(lambda x, a, b: tir.max(constant(0), x)),
    "affine": _Kind(lambda x, a, b: fma(x, constant(a), constant(b))),
    "leaky_relu": _Kind(lambda x, a, b: tir.Select(x >= constant(0), x, constant(a) * x)),
    "thresholded_relu": _Kind(lambda x, a, b: tir.Select(x < constant(a), constant(0), x)),
    "hard_sigmoid": _Kind(_hard_sigmoid),
    "softsign": _Kind(lambda x, a, b: x / (constant(1) + magnitude(x))),
}


@dataclass(frozen=True)
class GateFunction:
    """``factor * function(inner * x)``.

    Attributes
    ----------
    name : str
    alpha, beta : float
        Parameters of the function, if it has any.
    method : str or None
        The rung of a function with an exponential; None if it is exact.
    factor, inner : float
        The scale of the result and of the operand.
    """

    name: str
    alpha: float = 0.0
    beta: float = 0.0
    method: str | None = None
    factor: float = 1.0
    inner: float = 1.0

    @property
    def operator(self) -> str:
        """The registry's operator that the function consists of; empty if there is none."""
        return _KINDS[self.name].operator

    @property
    def parameters(self) -> dict[str, float]:
        """The operator's parameters."""
        return {"alpha": self.alpha} if self.operator == "elu" else {}

    def on(self, method: str | None) -> "GateFunction":
        """The function on a rung."""
        return replace(self, method=method)

    def __call__(self, x: Expr, ieee: bool) -> Expr:
        """The function of an expression. ``ieee``: whether NaN and infinities must be right."""
        x = x if self.inner == 1 else x * constant(self.inner)
        value = let(x, lambda x: self._of(x, ieee))
        return value if self.factor == 1 else value * constant(self.factor)

    def _of(self, x: Expr, ieee: bool) -> Expr:
        kind = _KINDS[self.name]
        if self.method is None:
            return kind.exact(x, self.alpha, self.beta)
        expression = OPERATORS[kind.operator].expression
        assert expression is not None
        return expression(x, LADDER[self.method], ieee, **self.parameters)
