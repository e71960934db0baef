"""Operators that create tensors without an input tensor, or from a tensor's shape only."""

from typing import Any

import numpy as np
import torch
import tvm
from tvm import relax, te

from .converter import Context, converts

op = relax.op


def constant(tensor: torch.Tensor) -> relax.Expr:
    """A tensor of the program as a constant that shares no memory with it."""
    tensor = tensor.detach().cpu()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    tensor = tensor.contiguous()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes  # bfloat16 for numpy; installed with onnx

        array = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    else:
        array = tensor.numpy()
    return relax.const(tvm.runtime.tensor(np.array(array)))


def _filled(c: Context, value: Any) -> relax.Expr:
    if isinstance(value, bool | int | float):
        return c.full(c.shape, value, c.dtype)
    return c.emit(op.broadcast_to(c.tensor(value, c.dtype), relax.ShapeExpr(c.shape)))


@converts("full.default")
def _full(c: Context, fill_value: Any, dtype: Any, size: Any) -> relax.Expr:
    return _filled(c, fill_value)


@converts("full_like.default")
def _full_like(c: Context, self: Any, fill_value: Any, dtype: Any) -> relax.Expr:
    return _filled(c, fill_value)


@converts("fill.Scalar", "fill.Tensor")
def _fill(c: Context, self: Any, value: Any) -> relax.Expr:
    return _filled(c, value)


# The contents of empty tensors do not matter: exported programs write before they read.
@converts("empty.memory_format")
def _empty(c: Context, size: Any, dtype: Any) -> relax.Expr:
    return _filled(c, 0)


@converts("empty_strided.default", "new_empty_strided.default")
def _empty_strided(c: Context, size: Any, stride: Any, dtype: Any) -> relax.Expr:
    return _filled(c, 0)


@converts("empty_permuted.default")
def _empty_permuted(c: Context, size: Any, physical_layout: Any, dtype: Any) -> relax.Expr:
    return _filled(c, 0)


@converts("scalar_tensor.default")
def _scalar_tensor(c: Context, s: Any, dtype: Any) -> relax.Expr:
    return c.tensor(s, c.dtype)


@converts("arange.start_step")
def _arange(c: Context, start: Any, end: Any, step: Any, dtype: Any) -> relax.Expr:
    given = (start, end, step)
    if all(isinstance(value, int | float) for value in given):
        return constant(torch.arange(*given, dtype=c.result.dtype))
    if not all(isinstance(value, int) or tvm.ir.is_prim_expr(value) for value in given):
        raise c.refuse("with bounds that are no whole numbers")
    if start == 0 and step == 1 and c.dtype == "int64":
        return c.emit(op.arange(start, end, step, c.dtype))

    def count(start: Any, step: Any) -> te.Tensor:
        return te.compute(c.shape, lambda i: (start + i * step).astype(c.dtype), name="arange")

    return c.kernel("arange", count, start, step)


@converts("linspace.default")
def _linspace(c: Context, start: Any, end: Any, steps: Any, dtype: Any) -> relax.Expr:
    return constant(torch.linspace(start, end, steps, dtype=c.result.dtype))


@converts("logspace.default")
def _logspace(c: Context, start: Any, end: Any, steps: Any, base: Any, dtype: Any) -> relax.Expr:
    return constant(torch.logspace(start, end, steps, base, dtype=c.result.dtype))


@converts("copy.default")
def _copy(c: Context, self: Any, src: relax.Expr) -> relax.Expr:
    return c.emit(op.broadcast_to(c.cast(src, c.dtype), relax.ShapeExpr(c.shape)))


@converts(
    *("clone.default", "alias.default", "detach.default", "contiguous.default"),
    *("lift_fresh_copy.default", "detach_copy.default"),
)
def _same(c: Context, self: relax.Expr) -> relax.Expr:
    return self


@converts("_to_copy.default")
def _to_copy(c: Context, self: relax.Expr, dtype: Any) -> relax.Expr:
    return c.cast(self, c.dtype)


@converts("to.dtype")
def _to(c: Context, self: relax.Expr, dtype: Any, copy: Any) -> relax.Expr:
    return c.cast(self, c.dtype)


@converts("to.dtype_layout")
def _to_layout(c: Context, self: relax.Expr, dtype: Any, copy: Any) -> relax.Expr:
    return c.cast(self, c.dtype)
