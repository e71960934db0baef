"""Compute products of float32 rows with constant matrices from bytes.

These are products whose weights are bytes in the model, and with ``precision="int8"`` all others,
whose weights get a scale for each column at compile time. Each row of the other operand gets a
scale and a zero point when the model runs, so nothing is calibrated. Sums are exact, and results
float32.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import tvm
from tvm import relax, te

from quake_tvm.kernels.byte_product_operator import BYTE_PRODUCT, byte_product
from quake_tvm.kernels.byte_products import dequantized, group_term
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.numerics.byte_dots import DEEPEST, Format, fitting
from quake_tvm.tvm_version import Pass

from .call_written_out import call_written_out
from .legalize import FUSABLE, legalize
from .pack_byte_weights import converted_once, multiplies_rows, packed
from .pack_weights import Panel, packed_matmul

# With weights below this no sum times a factor overflows.
LARGEST = 2.0**96


def quantized_columns(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each column as bytes times a factor.

    Parameters
    ----------
    weights : np.ndarray
        float32 and finite, of shape (k, n).

    Returns
    -------
    np.ndarray, np.ndarray
        int8 from -127 to 127, of shape (k, n); float32 factors, of shape (n,), which are normal
        numbers.
    """
    largest = np.abs(weights).max(0).astype(np.float64)
    factors = np.maximum(largest / 127, np.finfo(np.float32).tiny).astype(np.float32)
    return np.clip(np.rint(weights / factors.astype(np.float64)), -127, 127).astype(
        np.int8
    ), factors


def quantizable(call: relax.Call) -> bool:
    """Whether a matmul is of float32 rows with a constant matrix that bytes can stand for."""
    if call.op.name != "relax.matmul" or not multiplies_rows(call):
        return False
    x, w = call.args
    if {str(x.ty.dtype), str(w.ty.dtype), str(call.attrs.out_dtype or "float32")} != {"float32"}:
        return False
    values = w.value.numpy()
    return bool(values.size) and len(values) <= DEEPEST and bool(np.abs(values).max() < LARGEST)


def in_bytes(call: relax.Call) -> relax.Call:
    """The ``quake.byte_product`` that stands for a quantizable matmul."""
    weights, factors = quantized_columns(call.args[1].value.numpy())
    return byte_product(call.args[0], relax.const(weights), relax.const(factors))


@tvm.transform.module_pass(opt_level=0, name="QuantizeProducts")
class QuantizeProducts(Pass):
    """Legalize ``quake.byte_product`` and float32 matmuls with a constant matrix.

    Parameters
    ----------
    panel : callable
        As for :class:`PackWeights`.
    forms : sequence of Format
        The formats of the target's dot products, the fastest first.
    floats : bool
        Whether to convert float32 matmuls too.
    """

    def __init__(self, panel: Panel, forms: Sequence[Format], floats: bool = True) -> None:
        self.panel, self.forms, self.floats = panel, forms, floats

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such products, and quantize each operand once. Nothing else is changed.

        Products stay float32 if their weights are not finite or at least ``LARGEST``, or if their
        sums might leave int32.
        """
        floats = {"relax.matmul": self._of_floats} if self.floats else {}
        return converted_once(mod, legalize(mod, {BYTE_PRODUCT: self._of_bytes, **floats}))

    def _of_bytes(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        weights, factors = (arg.value.numpy() for arg in call.args[1:])
        made = self._product(builder, call, weights, factors)
        if made is not call:
            return made
        floats = relax.const(weights.astype(np.float32) * factors)
        return builder.normalize(relax.op.matmul(call.args[0], floats))

    def _of_floats(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        if not quantizable(call):
            return call
        return self._product(builder, call, *quantized_columns(call.args[1].value.numpy()))

    def _product(
        self,
        builder: relax.BlockBuilder,
        call: relax.Call,
        weights: np.ndarray,
        factors: np.ndarray,
    ) -> relax.Expr:
        """The product of the call's first operand and bytes. The call if it has no such form."""
        x, rows = call.args[0], list(call.args[0].ty.shape)[:-1]
        depth, columns = weights.shape
        form = fitting(self.forms, weights)
        matrix = packed(form, self.panel, rows, weights)
        if matrix is None:
            return call
        kernel = KernelSpec("quantized_rows", {"left": form.left}, results=3)
        types = [
            relax.TensorType((*rows, -(-depth // form.group)), "int32"),
            relax.TensorType(rows, "float32"),
            relax.TensorType(rows, "int32"),
        ]
        quantized = builder.emit(
            call_written_out(builder, "quantized_rows", kernel, [x], relax.TupleType(types))
        )
        groups, scales, zeros = (builder.emit(relax.TupleGetItem(quantized, n)) for n in range(3))

        def multiplied(groups: te.Tensor, matrix: te.Tensor, *quantization: te.Tensor) -> te.Tensor:
            sums = packed_matmul(groups, matrix, columns, partial(group_term, form))
            return dequantized(sums, *quantization)

        return builder.call_te(
            multiplied,
            groups,
            relax.const(matrix),
            scales,
            zeros,
            relax.const(factors),
            relax.const(weights.sum(0, np.int32)),
            primfunc_name_hint="matmul",
            primfunc_attrs=FUSABLE,
        )
