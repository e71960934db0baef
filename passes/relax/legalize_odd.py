"""sinh, cosh, tanh, erf and softplus that stay exact, with errors of a few units in the last place.

TVM calls libm for sinh and cosh, and its code generator cannot vectorize these calls. TVM's tanh
and erf lose digits of small operands. Near 0 a Taylor series of the odd function is used instead.
TVM's softplus loses small results. Half-precision tanh and erf are TVM's own.
"""

import math
from collections.abc import Callable, Sequence

from tvm import relax, te

from quake_tvm.tvm_version import tir

from .legalize import Legalize

# Coefficients of x^3, x^5, ..., relative to that of x.
_SINH = [1 / math.factorial(n) for n in range(3, 15, 2)]
_TANH = [-1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925]
_ATANH = [1 / n for n in range(3, 19, 2)]
_ERF = [-1 / 3, 1 / 10, -1 / 42, 1 / 216, -1 / 1320]
# Below these |x| the truncation error of the series is far below the last place.
_NEAR = {"float32": 0.25, "float64": 0.02}
Formula = Callable[[tir.Expr], tir.Expr]


def _series(x: tir.Expr, coefficients: Sequence[float]) -> tir.Expr:
    """x * (1 + sum(c_k * x^(2k))). It keeps the sign of zero."""
    square, total = x * x, tir.const(0, x.ty.dtype)
    for c in reversed(coefficients):
        total = (total + tir.const(c, x.ty.dtype)) * square
    return x * (total + tir.const(1, x.ty.dtype))


def _near(x: tir.Expr, end: float, near: tir.Expr, far: tir.Expr) -> tir.Expr:
    return tir.Select(tir.abs(x) < tir.const(end, x.ty.dtype), near, far)


def _exponentials(x: tir.Expr) -> tuple[tir.Expr, tir.Expr]:
    """exp(|x|)/2 and exp(-|x|)/2. The first overflows only if the result does."""
    half = tir.const(0.5, x.ty.dtype)
    root = tir.exp(tir.abs(x) * half)
    return (half * root) * root, half / (root * root)


def _sinh(x: tir.Expr) -> tir.Expr:
    up, down = _exponentials(x)
    size = up - down
    far = tir.Select(x < tir.const(0, x.ty.dtype), -size, size)
    return _near(x, 0.5, _series(x, _SINH), far)


def _cosh(x: tir.Expr) -> tir.Expr:
    up, down = _exponentials(x)
    return up + down


def _tanh(x: tir.Expr) -> tir.Expr:
    return _near(x, _NEAR[x.ty.dtype], _series(x, _TANH), tir.tanh(x))


def _erf(x: tir.Expr) -> tir.Expr:
    slope = tir.const(2 / math.sqrt(math.pi), x.ty.dtype)
    return _near(x, _NEAR[x.ty.dtype], slope * _series(x, _ERF), tir.erf(x))


def _rule(formula: Formula, name: str, widened: bool) -> Legalize:
    def rule(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        kind = str(call.args[0].ty.dtype)
        if kind not in _NEAR and not (widened and "float" in kind):
            return call.op.get_attr("FLegalize")(builder, call)

        def element(x: tir.Expr) -> tir.Expr:
            return formula(x) if kind in _NEAR else formula(x.astype("float32")).astype(kind)

        def whole(x: te.Tensor) -> te.Tensor:
            return te.compute(x.shape, lambda *at: element(x(*at)), name="compute")

        return builder.call_te(whole, call.args[0], primfunc_name_hint=f"tir_{name}")

    return rule


def _log1p(x: tir.Expr) -> tir.Expr:
    """log(1 + x) for x from 0 to 1: near 0 as 2 atanh(x / (2 + x)), which adds x to no 1."""
    one, two = (tir.const(value, x.ty.dtype) for value in (1, 2))
    return _near(x, 0.25, two * _series(x / (two + x), _ATANH), tir.log(one + x))


def _softplus(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    kind, beta, threshold = str(call.args[0].ty.dtype), call.attrs.beta, call.attrs.threshold
    wide = kind if kind in _NEAR else "float32"

    def element(x: tir.Expr) -> tir.Expr:
        zero, factor, end = (tir.const(value, wide) for value in (0, beta, threshold))
        y = x * factor
        near = (tir.max(zero, y) + _log1p(tir.exp(-tir.abs(y)))) / factor
        return tir.Select(y > end, x, near)

    def softplus(x: te.Tensor) -> te.Tensor:
        return te.compute(
            x.shape, lambda *at: element(x(*at).astype(wide)).astype(kind), name="compute"
        )

    return builder.call_te(softplus, call.args[0], primfunc_name_hint="tir_softplus")


RULES: dict[str, Legalize] = {
    "relax.sinh": _rule(_sinh, "sinh", True),
    "relax.cosh": _rule(_cosh, "cosh", True),
    "relax.tanh": _rule(_tanh, "tanh", False),
    "relax.erf": _rule(_erf, "erf", False),
    "relax.nn.softplus": _softplus,
}
