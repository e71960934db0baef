"""Integer products of bytes themselves, with their zero points added to the sums.

``(a - p) (b - q)`` in int32 becomes ``a b`` of int8 or uint8 and terms of p and q. CPUs have
instructions for products of bytes. Constant operands of uint8 become int8, with q lower by 128.
Products of two tensors that vary are summed in float32 where all sums are exact in it. Knows no
scale and no kernel.
"""

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass, tir

from .convolutions import CONVOLUTIONS, convolve
from .graph import dtype, known_shape, op_name
from .quantized import constant, rewritten, single
from .shifted_bytes import Shifted, bound, shifted

_SUM = "int32"
# float32 has all integers up to this.
_EXACT = 2**24


@mutator
class _Bytes(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        name = op_name(call)
        if name == "relax.add":
            return self._merged(call)
        if name != "relax.matmul" and name not in CONVOLUTIONS:
            return call
        if dtype(call) != _SUM or not all(known_shape(e) for e in (*call.args, call)):
            return call
        a, b = (shifted(e, self.lookup_binding) for e in call.args)
        if a is None or b is None or not (a.zero is None or _same_along_last(a.zero)):
            return call
        if name in CONVOLUTIONS:
            return self._convolution(call, a, b)
        if constant(b.x) is None:
            return self._in_floats(call, a, b)
        return self._product(call, a, b)

    def _merged(self, call: relax.Call) -> relax.Expr:
        """Two additions of constants as one."""
        inner = bound(call.args[0], self.lookup_binding)
        if op_name(inner) != "relax.add" or dtype(call) != _SUM:
            return call
        terms = constant(inner.args[1]), constant(call.args[1])
        if terms[0] is None or terms[1] is None:
            return call
        return relax.op.add(inner.args[0], relax.const(np.asarray(terms[0] + terms[1])))

    def _plus(self, sums: relax.Expr, term: np.ndarray | relax.Expr) -> relax.Expr:
        """The sums plus a term that is not known to be 0."""
        if isinstance(term, np.ndarray):
            if not term.any():
                return sums
            term = relax.const(np.asarray(term, _SUM))
        return self.builder_.emit(relax.op.add(sums, term))

    def _times(
        self, zero: np.ndarray | relax.Expr, factor: np.ndarray | relax.Expr
    ) -> np.ndarray | relax.Expr:
        """-zero * factor."""
        if isinstance(zero, np.ndarray) and isinstance(factor, np.ndarray):
            return -zero.astype(np.int64) * factor
        if isinstance(zero, np.ndarray):
            zero, factor = factor, zero
        if isinstance(factor, np.ndarray):
            factor = relax.const(np.asarray(-factor, _SUM))
        else:
            factor = self.builder_.emit(relax.op.negative(factor))
        return self.builder_.emit(relax.op.multiply(zero, factor))

    def _product(self, call: relax.Call, a: Shifted, b: Shifted) -> relax.Expr:
        weights, zero = _signed(b)
        if zero is None or weights.ndim < 2 or zero.ndim > 2 or zero.shape[:-1] not in ((), (1,)):
            return call
        vector = a.x.ty.ndim == 1  # its product has no axis of rows
        if vector:
            zero = zero.reshape(zero.shape[-1:])
        sums = relax.op.matmul(a.x, relax.const(weights), out_dtype=_SUM)
        sums = self.builder_.emit(sums)
        if a.zero is not None:
            columns = weights.astype(np.int64).sum(-2, keepdims=weights.ndim > 2 and not vector)
            columns = columns - weights.shape[-2] * zero
            sums = self._plus(sums, self._times(a.zero, columns))
        if zero.any():
            wide = self.builder_.emit(relax.op.astype(a.x, _SUM))
            rows = self.builder_.emit(relax.op.sum(wide, -1, keepdims=True))
            sums = self._plus(sums, self._times(zero, rows))
        return sums

    def _convolution(self, call: relax.Call, a: Shifted, b: Shifted) -> relax.Expr:
        weights, zero = _signed(b) if constant(b.x) is not None else (None, None)
        if weights is None or zero is None or not _channels_first(call):
            return call
        each = (len(weights), *[1] * (weights.ndim - 1))
        if (zero.size > 1 and zero.shape != each) or (a.zero is not None and _count(a.zero) != 1):
            return call
        padding, x = [int(n) for n in call.attrs.padding], a.x
        if a.zero is None:
            return self._of_bytes(call, x, weights, zero, padding)
        columns: np.ndarray | relax.Expr = (weights - zero).sum(tuple(range(1, weights.ndim)))
        columns = columns.reshape(-1, *[1] * (weights.ndim - 2))
        if any(padding):
            if isinstance(a.zero, np.ndarray) and a.within(self.lookup_binding):
                x = self.builder_.emit(_padded(x, padding, a.zero.item()))
                padding = [0] * len(padding)
            elif all(isinstance(n, tir.IntImm) for n in x.ty.shape):
                # The pads count for nothing: at the borders, fewer weights are summed.
                sizes = [1, *map(int, list(x.ty.shape)[1:])]
                ones = relax.const(np.ones(sizes, np.int8))
                columns = self._of_bytes(call, ones, weights, zero, padding)
            else:
                return call
        sums = self._of_bytes(call, x, weights, zero, padding)
        return self._plus(sums, self._times(a.zero, columns))

    def _of_bytes(
        self,
        call: relax.Call,
        x: relax.Expr,
        weights: np.ndarray,
        zero: np.ndarray,
        padding: list[int],
    ) -> relax.Expr:
        """The convolution of x itself with the weights minus their zero point."""
        sums = self.builder_.emit(convolve(call, x, relax.const(weights), padding))
        if not zero.any():
            return sums
        groups, of_group = int(call.attrs.groups), len(weights) // int(call.attrs.groups)
        ones = relax.const(np.ones((groups, *weights.shape[1:]), np.int8))
        windows = self.builder_.emit(convolve(call, x, ones, padding))
        if groups > 1:
            windows = self.builder_.emit(relax.op.repeat(windows, of_group, 1))
        each = zero if zero.ndim == 0 else zero.reshape(-1, *[1] * (weights.ndim - 2))
        return self._plus(sums, self._times(each, windows))

    def _in_floats(self, call: relax.Call, a: Shifted, b: Shifted) -> relax.Expr:
        """The product summed in float32, if no sum is larger than what it has exactly."""
        depth = getattr(call.args[0].ty.shape[-1], "value", None)
        if depth is None or depth * 255**2 > _EXACT:
            return call
        if not all(each.within(self.lookup_binding) for each in (a, b)):
            return call
        operands = [self.builder_.emit(relax.op.astype(e, "float32")) for e in call.args]
        product = self.builder_.emit(relax.op.matmul(*operands))
        return relax.op.astype(product, _SUM)


def _count(zero: np.ndarray | relax.Expr) -> int | None:
    """How many elements a zero point has, None if the run knows."""
    if isinstance(zero, np.ndarray):
        return zero.size
    return 1 if single(zero) else None


def _same_along_last(zero: np.ndarray | relax.Expr) -> bool:
    """Whether a zero point is the same along the axis that is summed."""
    if isinstance(zero, np.ndarray):
        return zero.shape[-1:] in ((), (1,))
    return known_shape(zero) and (
        not len(zero.ty.shape) or getattr(zero.ty.shape[-1], "value", 0) == 1
    )


def _signed(b: Shifted) -> tuple[np.ndarray, np.ndarray | None]:
    """Constant bytes as int8, and their zero point; None for one that varies."""
    values = constant(b.x)
    assert values is not None
    zero = np.zeros((), np.int64) if b.zero is None else b.zero
    if not isinstance(zero, np.ndarray):
        return values, None
    zero = zero.astype(np.int64)
    if values.dtype == np.uint8:
        return (values ^ 0x80).view(np.int8), np.asarray(zero - 128)
    return values, zero


def _channels_first(call: relax.Call) -> bool:
    given = call.attrs
    layouts = {str(given.data_layout), str(given.out_layout or given.data_layout)}
    return layouts <= {"NCW", "NCHW", "NCDHW"} and str(given.kernel_layout).startswith("OI")


def _padded(x: relax.Expr, padding: list[int], value: int) -> relax.Expr:
    """x with its pixels surrounded by a value."""
    half = len(padding) // 2
    both = [n for pair in zip(padding[:half], padding[half:], strict=True) for n in pair]
    return relax.op.nn.pad(x, [0, 0, 0, 0, *both], pad_value=value)


@tvm.transform.module_pass(opt_level=0, name="IntegerProducts")
class IntegerProducts(Pass):
    """Rewrite products and convolutions of shifted bytes.

    What has no such form stays: convolutions with weights that vary, and pads around a tensor of
    symbolic size whose zero point varies.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. Casts that nothing reads are removed."""
        return rewritten(mod, "relax.astype", _Bytes)
