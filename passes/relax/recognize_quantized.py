"""Products and convolutions of quantized tensors as integer ones, whose sums are scaled.

``(s_a (a - z_a)) (s_b (b - z_b))`` becomes ``s_a s_b`` times the int32 product of ``a - z_a`` and
``b - z_b``. The sums are exact, where float32 rounds each step. Knows no kernel.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass

from .convolutions import CONVOLUTIONS, convolve
from .graph import op_name
from .quantized import Quantized, constant, dequantized, rewritten, single

_SUM = "int32"
# No sum of so many products of two bytes leaves int32.
_DEEPEST = (2**31 - 1) // 255**2
# With scales from here to there, sums times a scale are neither rounded to subnormals nor infinite.
_LEAST, _LARGEST = np.finfo(np.float32).tiny, np.finfo(np.float32).max / 2**31


@mutator
class _Products(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        convolution = op_name(call) in CONVOLUTIONS
        if not convolution and op_name(call) != "relax.matmul":
            return call
        a, b = map(self._quantized, call.args)
        if a is None or b is None or str(call.ty.dtype) != "float32":
            return call
        weights, channels = constant(b.x), 0 if convolution else b.x.ty.ndim - 1
        if weights is None or not weights.size or not a.whole:
            return call
        # The only axis of a vector is summed.
        if not b.whole and (b.axis != channels or weights.ndim == 1):
            return call
        if weights.size // weights.shape[channels] > _DEEPEST:
            return call
        if not _fit(constant(a.scale), constant(b.scale)):
            return call
        if convolution and str(call.attrs.out_layout or call.attrs.data_layout)[:2] != "NC":
            return call
        operands = self._shifted(a), self._shifted(b)
        sums = self.builder_.emit(
            convolve(call, *operands) if convolution else relax.op.matmul(*operands, out_dtype=_SUM)
        )
        spread = convolution or single(b.scale)
        factors = _along(b.scale, 1, call.ty.ndim) if spread else b.scale
        real = self.builder_.emit(relax.op.astype(sums, "float32"))
        return relax.op.multiply(real, self._scale(a.scale, factors))

    def _quantized(self, expr: relax.Expr) -> Quantized | None:
        """A dequantized operand, also behind a transposition."""
        call: Any = self.lookup_binding(expr) if isinstance(expr, relax.Var) else None
        if op_name(call) != "relax.permute_dims":
            return dequantized(call)
        inner = self._quantized(call.args[0])
        if inner is None:
            return None
        rank = inner.x.ty.ndim
        axes = call.attrs.axes
        order = list(range(rank))[::-1] if axes is None else [int(k) % rank for k in axes]
        values = constant(inner.x)
        turned = (
            self.builder_.emit(relax.op.permute_dims(inner.x, order))
            if values is None
            else relax.const(np.ascontiguousarray(values.transpose(order)))
        )
        return replace(inner, x=turned, axis=order.index(inner.axis))

    def _shifted(self, value: Quantized) -> relax.Expr:
        """The integers minus the zero point, in int32."""
        wide = self.builder_.emit(relax.op.astype(value.x, _SUM))
        zeros = constant(value.zero)
        if zeros is not None and not zeros.any():
            return wide
        zero = _along(value.zero, value.axis, value.x.ty.ndim)
        return self.builder_.emit(relax.op.subtract(wide, _in_sums(self.builder_, zero)))

    def _scale(self, a: relax.Expr, b: relax.Expr) -> relax.Expr:
        left, right = constant(a), constant(b)
        if left is not None and right is not None:
            return relax.const(np.asarray(left.reshape(()) * right))
        left = self.builder_.emit(relax.op.reshape(a, []))
        return self.builder_.emit(relax.op.multiply(left, b))


def _fit(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Whether sums may be scaled by the product of these scales, as far as they are known."""
    if a is None or b is None:
        return True
    products = a.astype(np.float64) * b
    return bool(np.all((products >= _LEAST) & (products <= _LARGEST)))


def _in_sums(builder: relax.BlockBuilder, zero: relax.Expr) -> relax.Expr:
    known = constant(zero)
    return (
        builder.emit(relax.op.astype(zero, _SUM))
        if known is None
        else relax.const(known.astype(_SUM))
    )


def _along(values: relax.Expr, axis: int, rank: int) -> relax.Expr:
    """Parameters of a tensor of this rank so that they broadcast to it."""
    shape = [] if single(values) else [1] * axis + [-1] + [1] * (rank - axis - 1)
    known = constant(values)
    if known is not None:
        return relax.const(known.reshape(shape))
    return relax.op.reshape(values, shape)


@tvm.transform.module_pass(opt_level=0, name="RecognizeQuantized")
class RecognizeQuantized(Pass):
    """Rewrite products and convolutions of a quantized tensor with constant quantized weights.

    The tensor has one scale and one zero point. The weights may have one for each column or output
    channel. Products whose scales leave the normal numbers of float32 stay.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. Dequantizations that nothing reads are removed."""
        return rewritten(mod, "relax.dequantize", _Products)
