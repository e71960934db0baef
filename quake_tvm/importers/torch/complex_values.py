"""Complex values as pairs of real tensors, and the operators on them.

TVM has no complex dtype. Operators that move elements or are linear run on each part by their
converter for real tensors; the others are here.
"""

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
        *("full.default", "full_like.default", "fill.Scalar", "fill.Tensor"),
        *("scalar_tensor.default", "index_put.default", "index_copy.default", "index_add.default"),
        *("scatter.src", "scatter.value", "scatter_add.default"),
    )
}
# Their arguments that hold numbers: a real one has the imaginary part 0.
_VALUES = {"self", "other", "src", "source", "value", "values", "tensors", "fill_value", "s"}


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


def lifted(c: Context, value: Any) -> Complex:
    """Any operand as a complex tensor of the result's dtype."""
    if isinstance(value, Complex):
        return value
    if isinstance(value, complex):
        return Complex(relax.const(value.real, c.dtype), relax.const(value.imag, c.dtype))
    real = c.tensor(value, c.dtype)
    return Complex(real, relax.const(0, c.dtype))


@of_complex("add.Tensor", "sub.Tensor")
def _add(c: Context, self: Any, other: Any, alpha: Any) -> Complex:
    function = op.add if str(c.node.target) == "aten.add.Tensor" else op.subtract
    x, y = lifted(c, self), lifted(c, other)
    y = y if alpha == 1 else product(c, y, lifted(c, alpha))
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
        return product(c, lifted(c, self), lifted(c, other))
    factor = c.tensor(other, c.dtype)
    return Complex(*(c.emit(op.multiply(part, factor)) for part in (self.real, self.imag)))


@of_complex("div.Tensor", "div.Scalar")
def _div(c: Context, self: Any, other: Any) -> Complex:
    x = lifted(c, self)
    if not is_complex(other):
        divisor = c.tensor(other, c.dtype)
        return Complex(*(c.emit(op.divide(part, divisor)) for part in (x.real, x.imag)))
    y = lifted(c, other)
    result = quotient(c, x, y)
    size = c.emit(op.maximum(op.abs(y.real), op.abs(y.imag)))
    none = c.emit(op.equal(size, relax.const(0, c.dtype)))
    parts = ((x.real, result.real), (x.imag, result.imag))
    return Complex(*(c.emit(op.where(none, op.divide(a, size), b)) for a, b in parts))


@of_complex("reciprocal.default")
def reciprocal(c: Context, self: Complex) -> Complex:
    """1/x by the rule of :func:`quotient`."""
    return quotient(c, lifted(c, 1), self)


def quotient(c: Context, x: Complex, y: Complex) -> Complex:
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


@of_complex("isnan.default", "isinf.default")
def _either(c: Context, self: Complex) -> relax.Expr:
    """Whether it holds for a part."""
    function, _ = CONVERTERS[str(c.node.target)]
    return c.emit(op.logical_or(function(c, self.real), function(c, self.imag)))


@of_complex("convolution.default")
def _convolution(
    c: Context, input: Complex, weight: Complex, bias: Complex | None, **options: Any
) -> Complex:
    times, _ = CONVERTERS["aten.convolution.default"]
    result = product(c, input, weight, lambda x, y: times(c, x, y, None, **options))
    if bias is None:
        return result
    column = [1, -1, *[1] * (len(c.shape) - 2)]
    real, imag = (
        c.emit(op.add(part, op.reshape(added, column)))
        for part, added in ((result.real, bias.real), (result.imag, bias.imag))
    )
    return Complex(real, imag)


@of_complex("_conj.default", "conj_physical.default", "_conj_physical.default")
def _conj(c: Context, self: Complex) -> Complex:
    return Complex(self.real, c.emit(op.negative(self.imag)))


@of_complex("resolve_conj.default", "resolve_neg.default")
def _resolved(c: Context, self: Complex) -> Complex:
    return self


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
