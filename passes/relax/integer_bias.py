"""Biases of quantized products are added to the integer sums.

Quantizers give a bias the scale of the sums: ``s * sums + s * bias`` becomes ``s * (sums + bias)``.
The sum of integers is exact, so that only the product is rounded. The bias and the constant for the
zero points become one addition. ONNX Runtime's quantized operators add in the same way. Knows no
kernel.
"""

from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.schedules import analysis
from quake_tvm.tvm_version import Pass

from .convolutions import CONVOLUTIONS
from .graph import dtype, known_shape, op_name
from .quantized import constant, rewritten
from .shifted_bytes import shifted

_SUM = "int32"
# No product of two bytes minus their zero points is larger.
_TERM = 255**2


@mutator
class _Biases(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        if op_name(call) != "relax.add":
            return call
        for real, term in (call.args, reversed(call.args)):
            moved = self._moved(real, term, call)
            if moved is not None:
                return moved
        return call

    def _bound(self, expr: relax.Expr) -> Any:
        """What a variable is bound to, if anything."""
        return self.lookup_binding(expr) if isinstance(expr, relax.Var) else None

    def _moved(self, real: relax.Expr, term: relax.Expr, call: relax.Call) -> relax.Expr | None:
        """The scaled sums plus a bias, if ``real`` and ``term`` are these and have one scale."""
        scaled, bias = self._bound(real), self._bias(term)
        if op_name(scaled) != "relax.multiply" or bias is None:
            return None
        values, steps = bias
        cast, scale = self._bound(scaled.args[0]), constant(scaled.args[1])
        if op_name(cast) != "relax.astype" or dtype(cast.args[0]) != _SUM or scale is None:
            return None
        sums = cast.args[0]
        depth = self._depth(sums)
        if depth is None or depth * _TERM + np.abs(values.astype(np.int64)).max() >= 2**31:
            return None
        shape = np.broadcast_shapes(values.shape, scale.shape)
        if not np.array_equal(np.broadcast_to(steps, shape), np.broadcast_to(scale, shape)):
            return None
        if not tvm_ffi.structural_equal(real.ty, call.ty):
            return None
        whole = self.builder_.emit(relax.op.add(sums, relax.const(values)))
        return relax.op.multiply(
            self.builder_.emit(relax.op.astype(whole, "float32")), scaled.args[1]
        )

    def _bias(self, term: relax.Expr) -> tuple[np.ndarray, np.ndarray] | None:
        """A dequantized int32 constant without zero point, and its scales in the same shape."""
        call = self._bound(term)
        shape: list[int] = [-1]
        if op_name(call) == "relax.reshape" and known_shape(call):
            shape = [int(n) for n in call.ty.shape]
            call = self._bound(call.args[0])
        if op_name(call) != "relax.dequantize" or dtype(call.args[0]) != _SUM:
            return None
        values, steps, zero = map(constant, call.args)
        if values is None or steps is None or zero is None or zero.any() or values.ndim != 1:
            return None
        steps = np.broadcast_to(steps.ravel(), values.shape)
        return values.reshape(shape), steps.reshape(shape)

    def _depth(self, sums: relax.Expr) -> int | None:
        """How many products of bytes are summed. None for other sums."""
        call = self._bound(sums)
        if op_name(call) not in (*CONVOLUTIONS, "relax.matmul"):
            return None
        operands = [shifted(e, self.lookup_binding) for e in call.args]
        if not all(each is not None and each.within(self.lookup_binding) for each in operands):
            return None
        shape = list(call.args[1].ty.shape)
        return analysis.volume(shape[1:] if op_name(call) in CONVOLUTIONS else shape[-2:][:1])


@tvm.transform.module_pass(opt_level=0, name="IntegerBias")
class IntegerBias(Pass):
    """Add constant biases that have the scale of integer sums to these sums.

    Biases with other scales stay, and those with which a sum could leave int32.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. Dequantizations that nothing reads are removed."""
        return rewritten(mod, "relax.dequantize", _Biases)
