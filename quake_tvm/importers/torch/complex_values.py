"""Complex values as pairs of real tensors, and the operators on them.

TVM has no complex dtype. Operators that move elements or are linear run on each part by their
converter for real tensors; the others are here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tvm import relax

from .converter import CONVERTERS, Context, Convert, converts, dims, dtype_of

op = relax.op


@dataclass(frozen=True)
class Complex:
    """A complex tensor: two real tensors of equal shape and dtype."""

    real: relax.Expr
    imag: relax.Expr


# Converters of complex arguments; and operators whose converter runs on each part.
_CONVERTERS: dict[str, Convert] = {}
_EACH_PART = {
    f"aten.{name}"
    for name in (
        *("view.default", "reshape.default", "_unsafe_view.default", "expand.default"),
        *("permute.default", "squeeze.dims", "squeeze.dim", "squeeze.default", "unsqueeze.default"),
        *("select.int", "slice.Tensor", "slice_scatter.default", "cat.default", "flip.default"),
        *("split_with_sizes.default", "repeat.default", "diagonal.default", "unfold.default"),
        *("index.Tensor", "index_select.default", "gather.default", "pad.default"),
        "constant_pad_nd.default",
        *("clone.default", "alias.default", "detach.default", "contiguous.default"),
        *("lift_fresh_copy.default", "copy.default", "_to_copy.default", "neg.default"),
        *("add.Tensor", "sub.Tensor", "sum.default", "sum.dim_IntList", "mean.default"),
        *("mean.dim", "cumsum.default", "where.self", "as_strided.default", "embedding.default"),
        *("full.default", "scalar_tensor.default", "index_put.default"),
    )
}
# Their arguments that hold numbers: a real one has the imaginary part 0.
_VALUES = {"self", "other", "src", "value", "values", "tensors", "fill_value", "s"}


def of_complex(*operators: str) -> Callable[[Convert], Convert]:
    """Register a function for ATen operators on complex arguments."""

    def enter(function: Convert) -> Convert:
        _CONVERTERS.update({f"aten.{operator}": function for operator in operators})
        return function

    return enter


def is_complex(value: Any) -> bool:
    """Whether an argument is a complex tensor or number, or a list that has one."""
    if isinstance(value, list | tuple):
        return any(map(is_complex, value))
    return isinstance(value, Complex | complex)


def convert(c: Context, given: Mapping[str, Any]) -> Any:
    """The result of an operator with complex arguments.

    Raises
    ------
    QuakeError
        For an operator that has no converter of complex arguments.
    """
    target = str(c.node.target)
    if target in _CONVERTERS:
        return _CONVERTERS[target](c, **given)
    if target not in _EACH_PART:
        raise c.refuse("of complex numbers")
    function = CONVERTERS[target][0]
    real, imag = (
        function(c, **{name: _part(c, name, value, k) for name, value in given.items()})
        for k in (0, 1)
    )
    if isinstance(real, list):
        return [Complex(*pair) for pair in zip(real, imag, strict=True)]
    return Complex(real, imag)


def _part(c: Context, name: str, value: Any, k: int) -> Any:
    """The real part (0) or the imaginary part (1) of an argument. Places have no parts."""
    if isinstance(value, list | tuple) and is_complex(value):
        return [_part(c, name, item, k) for item in value]
    if is_complex(value):
        return (value.real, value.imag)[k]
    if k == 0 or name not in _VALUES or value is None:
        return value
    return 0 if isinstance(value, bool | int | float) else c.emit(op.zeros_like(value))


def _lifted(c: Context, value: Any) -> Complex:
    """Any operand as a complex tensor of the result's dtype."""
    if isinstance(value, Complex):
        return value
    if isinstance(value, complex):
        return Complex(relax.const(value.real, c.dtype), relax.const(value.imag, c.dtype))
    real = c.tensor(value, c.dtype)
    return Complex(real, relax.const(0, c.dtype))


@of_complex("add.Tensor", "sub.Tensor")
def _add(c: Context, self: Any, other: Any, alpha: Any) -> Complex:
    if alpha != 1:
        raise c.refuse("of complex numbers with alpha")
    function = op.add if str(c.node.target) == "aten.add.Tensor" else op.subtract
    x, y = _lifted(c, self), _lifted(c, other)
    real, imag = c.emit(function(x.real, y.real)), c.emit(function(x.imag, y.imag))
    shape = relax.ShapeExpr(c.shape)
    if len(dims(imag)) < len(c.shape) or dims(imag) != c.shape:
        imag = c.emit(op.broadcast_to(imag, shape))
    return Complex(real, imag)


def product(c: Context, x: Complex, y: Complex, times: Callable = op.multiply) -> Complex:
    """The product by ``times``, which may be the product of matrices."""
    real = op.subtract(c.emit(times(x.real, y.real)), c.emit(times(x.imag, y.imag)))
    imag = op.add(c.emit(times(x.real, y.imag)), c.emit(times(x.imag, y.real)))
    return Complex(c.emit(real), c.emit(imag))


@of_complex("mul.Tensor", "mul.Scalar")
def _mul(c: Context, self: Any, other: Any) -> Complex:
    if isinstance(other, Complex) and not is_complex(self):
        self, other = other, self
    if is_complex(other):
        return product(c, _lifted(c, self), _lifted(c, other))
    factor = c.tensor(other, c.dtype)
    return Complex(*(c.emit(op.multiply(part, factor)) for part in (self.real, self.imag)))


@of_complex("div.Tensor", "div.Scalar")
def _div(c: Context, self: Any, other: Any) -> Complex:
    x = _lifted(c, self)
    if not is_complex(other):
        divisor = c.tensor(other, c.dtype)
        return Complex(*(c.emit(op.divide(part, divisor)) for part in (x.real, x.imag)))
    y = _lifted(c, other)
    result = _quotient(c, x, y)
    size = c.emit(op.maximum(op.abs(y.real), op.abs(y.imag)))
    none = c.emit(op.equal(size, relax.const(0, c.dtype)))
    parts = ((x.real, result.real), (x.imag, result.imag))
    return Complex(*(c.emit(op.where(none, op.divide(a, size), b)) for a, b in parts))


@of_complex("reciprocal.default")
def _reciprocal(c: Context, self: Complex) -> Complex:
    return _quotient(c, _lifted(c, 1), self)


def _quotient(c: Context, x: Complex, y: Complex) -> Complex:
    """x/y by Smith's rule: as in torch, no square overflows and 1/∞ is 0. 1/0 is NaN."""
    first = c.emit(op.greater_equal(op.abs(y.real), op.abs(y.imag)))
    large, small = _chosen(c, first, y.real, y.imag)
    above, below = _chosen(c, first, x.real, x.imag)
    ratio = c.emit(op.divide(small, large))
    divisor = c.emit(op.add(large, op.multiply(small, ratio)))
    real = c.emit(op.divide(op.add(above, op.multiply(below, ratio)), divisor))
    imag = c.emit(op.divide(op.subtract(below, op.multiply(above, ratio)), divisor))
    return Complex(real, c.emit(op.where(first, imag, op.negative(imag))))


def _chosen(
    c: Context, first: relax.Expr, x: relax.Expr, y: relax.Expr
) -> tuple[relax.Expr, relax.Expr]:
    """Both values; exchanged where the condition does not hold."""
    return c.emit(op.where(first, x, y)), c.emit(op.where(first, y, x))


@of_complex("pow.Tensor_Scalar")
def _pow(c: Context, self: Complex, exponent: Any) -> Complex:
    """A small whole power, by products."""
    if exponent not in range(1, 5):
        raise c.refuse(f"of complex numbers with exponent={exponent}")
    power = self
    for _ in range(int(exponent) - 1):
        power = product(c, power, self)
    return power


@of_complex("eq.Tensor", "eq.Scalar")
def _equal(c: Context, self: Any, other: Any) -> relax.Expr:
    dtype = next(dtype_of(x.real) for x in (self, other) if isinstance(x, Complex))
    pairs = [
        [c.tensor(part, dtype) for part in ((x.real, x.imag) if is_complex(x) else (x, 0))]
        for x in (self, other)
    ]
    parts = [c.emit(op.equal(a, b)) for a, b in zip(*pairs, strict=True)]
    return c.emit(op.logical_and(*parts))


@of_complex("ne.Tensor", "ne.Scalar")
def _not_equal(c: Context, self: Any, other: Any) -> relax.Expr:
    return c.emit(op.logical_not(_equal(c, self, other)))


@of_complex("mm.default", "bmm.default")
def _mm(c: Context, self: Complex, mat2: Complex) -> Complex:
    return product(c, self, mat2, op.matmul)


@of_complex("matmul.default")
def _matmul(c: Context, self: Complex, other: Complex) -> Complex:
    times, _ = CONVERTERS["aten.matmul.default"]
    return product(c, self, other, lambda x, y: times(c, x, y))


@of_complex("addmm.default", "baddbmm.default")
def _addmm(
    c: Context, self: Complex, mat1: Complex, mat2: Complex, beta: Any, alpha: Any
) -> Complex:
    if (beta, alpha) != (1, 1):
        raise c.refuse("of complex numbers with beta or alpha")
    result = product(c, mat1, mat2, op.matmul)
    return Complex(c.emit(op.add(self.real, result.real)), c.emit(op.add(self.imag, result.imag)))


@of_complex("_conj.default", "conj_physical.default", "_conj_physical.default")
def _conj(c: Context, self: Complex) -> Complex:
    return Complex(self.real, c.emit(op.negative(self.imag)))


@of_complex("resolve_conj.default", "resolve_neg.default")
def _resolved(c: Context, self: Complex) -> Complex:
    return self


@of_complex("abs.default")
def _abs(c: Context, self: Complex) -> relax.Expr:
    """Scaled by the larger part, so that no square overflows. Infinite if a part is."""
    x, y = c.emit(op.abs(self.real)), c.emit(op.abs(self.imag))
    large, small = c.emit(op.maximum(x, y)), op.minimum(x, y)
    one, zero = (relax.const(value, c.dtype) for value in (1, 0))
    ratio = c.emit(op.divide(small, op.where(op.equal(large, zero), one, large)))
    size = op.multiply(large, op.sqrt(op.add(one, op.multiply(ratio, ratio))))
    infinity = relax.const(math.inf, c.dtype)
    infinite = op.logical_or(op.equal(x, infinity), op.equal(y, infinity))
    return c.emit(op.where(infinite, infinity, size))


@of_complex("angle.default")
def _angle(c: Context, self: Complex) -> relax.Expr:
    return c.emit(op.atan2(self.imag, self.real))


@of_complex("exp.default")
def _exp(c: Context, self: Complex) -> Complex:
    return _rotated(c, c.emit(op.exp(self.real)), self.imag)


def _rotated(c: Context, size: relax.Expr, angle: relax.Expr) -> Complex:
    return Complex(
        c.emit(op.multiply(size, op.cos(angle))), c.emit(op.multiply(size, op.sin(angle)))
    )


@converts("polar.default")
def _polar(c: Context, abs: relax.Expr, angle: relax.Expr) -> Complex:
    return _rotated(c, abs, angle)


@converts("complex.default")
def _complex(c: Context, real: relax.Expr, imag: relax.Expr) -> Complex:
    shape = relax.ShapeExpr(c.shape)
    return Complex(*(c.emit(op.broadcast_to(part, shape)) for part in (real, imag)))


@converts("view_as_complex.default")
def _view_as_complex(c: Context, self: relax.Expr) -> Complex:
    """From pairs along the last dimension."""
    places = (relax.const(k, "int64") for k in (0, 1))
    return Complex(*(c.emit(op.take(self, place, len(c.shape))) for place in places))


@of_complex("view_as_real.default")
def _view_as_real(c: Context, self: Complex) -> relax.Expr:
    return c.emit(op.stack([self.real, self.imag], axis=len(c.shape) - 1))


@of_complex("_to_copy.default")
def _to_copy(c: Context, self: Complex, dtype: Any) -> Any:
    """To another complex dtype; to a real one, which drops the imaginary part."""
    if not c.result.dtype.is_complex:
        return c.cast(self.real, c.dtype)
    return Complex(c.cast(self.real, c.dtype), c.cast(self.imag, c.dtype))


def from_real(c: Context, x: relax.Expr) -> Complex:
    """A real result where torch states a complex one: the imaginary part is 0."""
    x = c.cast(x, c.dtype)
    return Complex(x, c.full(dims(x), 0, dtype_of(x)))
