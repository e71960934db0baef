"""Quantizations move in front of what only moves elements, so that bytes are moved.

Models that tools have quantized have a dequantization in front of each reshape, transposition,
concatenation and maximum pool, and a quantization behind it. Quantization works on each element
alone, and keeps the order of numbers. So both can be done in front, where they often cancel. A
multiplication by a positive number in front of a quantization moves with it: programs of torch
multiply by the reciprocal of a scale. Knows no kernel.
"""

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass

from .graph import dtype, known_shape, op_name
from .quantized import BYTES, dequantized, factored, number, rewritten

# Bytes that are scaled by so little more or less than 1 are rounded to themselves.
_SAME = 2.0**-10
_MOVES = {
    *("relax.concat", "relax.expand_dims", "relax.flatten", "relax.permute_dims"),
    *("relax.reshape", "relax.squeeze", "relax.strided_slice"),
    *("relax.nn.max_pool1d", "relax.nn.max_pool2d", "relax.nn.max_pool3d"),
}


@mutator
class _Mover(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        if op_name(call) != "relax.quantize" or str(call.attrs.out_dtype) not in BYTES:
            return call
        step, zero = map(number, call.args[1:])
        if step is None or zero is None or not step > 0:  # a negative one turns the order
            return call
        x, factor = call.args[0], 1.0
        if not self._is_move(self._call(x)):
            x, factor = factored(x, self._call(x))
        movable = factor > 0 and self._is_move(self._call(x))
        return self._quantized(x, factor, call) if movable else call

    def _call(self, expr: relax.Expr) -> relax.Call | None:
        """The call that a variable is bound to, if any."""
        value = self.lookup_binding(expr) if isinstance(expr, relax.Var) else None
        return value if isinstance(value, relax.Call) else None

    def _is_move(self, call: relax.Call | None) -> bool:
        """Whether this moves elements of dequantized bytes only."""
        if op_name(call) not in _MOVES or not known_shape(call):
            return False
        return all(
            self._is_move(before) or ((read := dequantized(before)) is not None and read.whole)
            for before in map(self._call, _moved(call))
        )

    def _quantized(self, expr: relax.Expr, factor: float, like: relax.Call) -> relax.Expr:
        """The quantization of a value times a factor. The value is moved or dequantized."""
        call = self._call(expr)
        assert call is not None
        if self._is_move(call):
            parts = [self._quantized(part, factor, like) for part in _moved(call)]
            first = relax.Tuple(parts) if isinstance(call.args[0], relax.Tuple) else parts[0]
            again = relax.Call(call.op, [first, *call.args[1:]], call.attrs)
            return self.builder_.emit(self.builder_.normalize(again))
        to = str(like.attrs.out_dtype)
        if dtype(call.args[0]) == to and _same(call, factor, like):
            return call.args[0]
        if factor != 1:
            expr = self.builder_.emit(relax.op.multiply(expr, relax.const(factor, "float32")))
        return self.builder_.emit(relax.op.quantize(expr, *like.args[1:], out_dtype=to))


def _same(real: relax.Call, factor: float, quantize: relax.Call) -> bool:
    """Whether each byte comes back from a dequantization, a factor and a quantization."""
    first, second = number(real.args[1]), number(quantize.args[1])
    if not first or not second or number(real.args[2]) != number(quantize.args[2]):
        return False
    return abs(first * factor / second - 1) <= _SAME


def _moved(call: relax.Call) -> list[relax.Expr]:
    first = call.args[0]
    return list(first.fields) if isinstance(first, relax.Tuple) else [first]


@tvm.transform.module_pass(opt_level=0, name="MoveBytes")
class MoveBytes(Pass):
    """Quantize in front of moves of dequantized bytes, where nothing else is between."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. What nothing reads any longer is removed."""
        return rewritten(mod, "relax.quantize", _Mover)
