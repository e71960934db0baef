"""Matrix products and convolutions. Halves are accumulated in float32, as in torch."""

from typing import Any

from tvm import relax

from .converter import HALF, Context, converts, dims, dtype_of

op = relax.op


def _accumulator(dtype: str) -> str:
    return "float32" if dtype in HALF else dtype


@converts("mm.default")
def _mm(c: Context, self: relax.Expr, mat2: relax.Expr) -> relax.Expr:
    return c.narrowed(_product(c, self, mat2))


@converts("bmm.default")
def _bmm(c: Context, self: relax.Expr, mat2: relax.Expr) -> relax.Expr:
    return c.narrowed(_product(c, self, mat2))


@converts("matmul.default")
def _matmul(c: Context, self: relax.Expr, other: relax.Expr) -> relax.Expr:
    if 0 in [*dims(self), *dims(other)]:
        return c.full(c.shape, 0, c.dtype)
    if len(dims(self)) == 1:
        self = c.emit(op.expand_dims(self, 0))
    if len(dims(other)) == 1:
        other = c.emit(op.expand_dims(other, 1))
    result = c.narrowed(_product(c, self, other))
    whole = len(dims(result)) == len(c.shape)
    return result if whole else c.emit(op.reshape(result, relax.ShapeExpr(c.shape)))


def _product(c: Context, x: relax.Expr, y: relax.Expr) -> relax.Expr:
    """The product, in the dtype in which it is accumulated."""
    if dtype_of(x) == "bool":
        raise c.refuse("of bool")
    dtype = _accumulator(dtype_of(x))
    if 0 in [*dims(x), *dims(y)]:
        shape = [*dims(x)[:-1], dims(y)[-1]]
        return c.emit(op.full(shape, relax.const(0, dtype), dtype))
    return c.emit(op.matmul(x, y, out_dtype=dtype))


@converts("addmm.default", "baddbmm.default")
def _addmm(c: Context, self: Any, mat1: Any, mat2: Any, beta: Any, alpha: Any) -> relax.Expr:
    product = _product(c, mat1, mat2)
    if alpha != 1:
        product = c.emit(op.multiply(product, relax.const(alpha, dtype_of(product))))
    if beta == 0:
        return c.narrowed(product)
    added = c.cast(self, dtype_of(product))
    if beta != 1:
        added = c.emit(op.multiply(added, relax.const(beta, dtype_of(product))))
    return c.narrowed(c.emit(op.add(added, product)))


_LAYOUTS = {1: ("NCW", "OIW", "IOW"), 2: ("NCHW", "OIHW", "IOHW"), 3: ("NCDHW", "OIDHW", "IODHW")}


@converts("convolution.default")
def _convolution(
    c: Context,
    input: relax.Expr,
    weight: relax.Expr,
    bias: relax.Expr | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> relax.Expr:
    rank = len(dims(input)) - 2
    if rank not in _LAYOUTS or dtype_of(input) != dtype_of(weight) or "float" not in c.dtype:
        raise c.refuse(f"over {rank} dimensions of {dtype_of(input)}")
    if 0 in [*dims(input), *dims(weight)]:
        raise c.refuse("of no elements")
    data, kernel, turned = _LAYOUTS[rank]
    stride, padding, dilation = (
        list(n) * rank if len(n) == 1 else list(n) for n in (stride, padding, dilation)
    )
    options = {
        "strides": stride,
        "padding": [*padding, *padding],
        "dilation": dilation,
        "groups": groups,
        "data_layout": data,
        "out_dtype": _accumulator(c.dtype),
    }
    if transposed:
        function = getattr(op.nn, f"conv{rank}d_transpose")
        options |= {"output_padding": list(output_padding), "kernel_layout": turned}
    else:
        function = getattr(op.nn, f"conv{rank}d")
        options["kernel_layout"] = kernel
    result = c.emit(function(input, weight, **options))
    if bias is not None:
        bias = c.emit(op.reshape(c.cast(bias, dtype_of(result)), [1, -1, *[1] * rank]))
        result = c.emit(op.add(result, bias))
    return c.narrowed(result)
