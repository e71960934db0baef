"""The scale of a quantization is multiplied into the scale of the sums in front of it.

``quantize(s * sums + b, t)`` with constants s, b and t becomes ``quantize((s/t) * sums + b/t, 1)``:
one multiplication for each element, as ONNX Runtime's quantized operators have it, and no division.
A ReLU between them is a maximum of the bytes. A multiplication in front of the quantization is a
division by the reciprocal: programs of torch have it. Knows no kernel.
"""

from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass

from .graph import dtype, op_name
from .quantized import BYTES, constant, factored, number, rewritten

# No int32 times a factor up to this is infinite.
_LARGEST = np.finfo(np.float32).max / 2**31


@mutator
class _Fold(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        if op_name(call) != "relax.quantize" or str(call.attrs.out_dtype) not in BYTES:
            return call
        x, scale, zero = call.args
        step, middle, kind = number(scale), number(zero), str(call.attrs.out_dtype)
        for value, factor in ((x, 1.0), factored(x, self._call(x))):
            if step is None or not factor > 0 or step == factor:
                continue
            ramp = op_name(self._call(value)) == "relax.nn.relu"
            if ramp and (middle is None or not step > 0):
                continue
            inner = self._call(value).args[0] if ramp else value
            divided = self._divided(inner, np.float32(step / factor))
            if divided is None:
                continue
            one = relax.const(np.ones([], np.float32))
            made = relax.Call(call.op, [self.builder_.emit(divided), one, zero], call.attrs)
            if not ramp or middle == np.iinfo(kind).min:
                return made
            below = self.builder_.emit(self.builder_.normalize(made))
            return relax.op.maximum(below, relax.const(int(middle or 0), kind))
        return call

    def _call(self, expr: relax.Expr) -> Any:
        """What a variable is bound to, if anything."""
        return self.lookup_binding(expr) if isinstance(expr, relax.Var) else None

    def _divided(self, x: relax.Expr, step: np.float32) -> relax.Expr | None:
        """x / step, if x is the scaled sums, to which a constant may be added."""
        value = self._call(x)
        if op_name(value) == "relax.add":
            for inner, term in (value.args, reversed(value.args)):
                known = constant(term)
                divided = None if known is None else self._divided(inner, step)
                if known is None or divided is None:
                    continue
                shift = _quotient(known, step)
                if np.isfinite(shift).all():
                    return relax.op.add(self.builder_.emit(divided), relax.const(shift))
        if op_name(value) != "relax.multiply":
            return None
        for sums, factor in (value.args, reversed(value.args)):
            known = constant(factor)
            if known is None or not self._are_sums(sums):
                continue
            scale = _quotient(known, step)
            if np.all(np.abs(scale) <= _LARGEST):
                return relax.op.multiply(sums, relax.const(scale))
        return None

    def _are_sums(self, x: relax.Expr) -> bool:
        """Whether these are int32 in float32."""
        value = self._call(x)
        return op_name(value) == "relax.astype" and dtype(value.args[0]) == "int32"


def _quotient(values: np.ndarray, step: np.float32) -> np.ndarray:
    """values / step, which may be infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(values / step)


@tvm.transform.module_pass(opt_level=0, name="FoldRequantization")
class FoldRequantization(Pass):
    """Fold the scales of quantizations into those of integer sums.

    The result is that of the division up to two roundings of float32: at most one step of the
    result, where the sum lies at the border between two steps. Scales stay where a quotient would
    be infinite.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. What nothing reads any longer is removed."""
        return rewritten(mod, "relax.quantize", _Fold)
