"""Pack constant int8 matrices of integer products for the target's dot product of bytes.

A matmul of int8 or uint8 rows with a constant int8 matrix, summed in int32, becomes a product of
groups of bytes (:mod:`quake_tvm.numerics.byte_dots`), with the weights in panels as in
:mod:`pack_weights`. A target whose instruction takes the other kind of bytes gets rows shifted by
128, and a constant for each column that takes this back. The numbers stay.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tvm
from tvm import relax, te

from quake_tvm.kernels.byte_products import group_term, shifted
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.numerics.byte_dots import Format, fitting
from quake_tvm.schedules import analysis, product
from quake_tvm.tvm_version import Pass

from .call_written_out import call_written_out
from .legalize import FUSABLE, legalize
from .pack_weights import Panel, packed_matmul, panels


def packed(
    form: Format, panel: Panel, rows: list[tvm.ir.Expr], weights: np.ndarray
) -> np.ndarray | None:
    """A matrix of bytes in panels of groups, of shape (n/p, k/group, p).

    Parameters
    ----------
    form : Format
    panel : callable
        As for :class:`PackWeights`.
    rows : list of Expr
        The extents of the left operand but for the last.
    weights : np.ndarray
        int8, of shape (k, n).

    Returns
    -------
    np.ndarray or None
        int32. None if the product stays as it is.
    """
    groups = form.grouped_rows(weights)
    depth, columns = groups.shape
    key = product.key(rows, columns, [depth], dtype="int32")
    width = panel(key, analysis.constant(rows[-1]))
    return None if width is None or depth == 0 else panels(groups, width)


@tvm.transform.module_pass(opt_level=0, name="PackByteWeights")
class PackByteWeights(Pass):
    """Pack every constant int8 matrix that is the right operand of a matmul in int32.

    Parameters
    ----------
    panel : callable
        As for :class:`PackWeights`.
    forms : sequence of Format
        The formats of the target's dot products, the fastest first.
    """

    def __init__(self, panel: Panel, forms: Sequence[Format]) -> None:
        self.panel, self.forms = panel, forms

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such products, and convert each left operand once. Nothing else is changed."""
        return converted_once(mod, legalize(mod, {"relax.matmul": self._legalize}))

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        x, w = call.args
        if not sums_bytes(call) or not multiplies_rows(call):
            return call
        weights, rows = w.value.numpy(), list(x.ty.shape)[:-1]
        form = fitting(self.forms, weights)
        matrix = packed(form, self.panel, rows, weights)
        if matrix is None:
            return call
        columns = weights.shape[1]
        term = partial(group_term, form)
        product = partial(packed_matmul, columns=columns, term=term)
        return of_groups(builder, form, x, product, matrix, weights.sum(0, np.int32))


def of_groups(
    builder: relax.BlockBuilder,
    form: Format,
    x: relax.Expr,
    product: Callable[[te.Tensor, te.Tensor], te.Tensor],
    packed: np.ndarray,
    sums: np.ndarray,
) -> relax.Expr:
    """The product of bytes x with packed weights.

    Parameters
    ----------
    builder : BlockBuilder
    form : Format
    x : Expr
        int8 or uint8.
    product : callable
        (groups of x, packed weights) to their product.
    packed : np.ndarray
    sums : np.ndarray
        The sum of each column's weights, int32.
    """
    *rows, depth = x.ty.shape
    kernel = KernelSpec("byte_groups", {"left": form.left})
    result = relax.TensorType((*rows, -(-int(depth) // form.group)), "int32")
    groups = builder.emit(call_written_out(builder, "byte_groups", kernel, [x], result))
    shift = form.shift(str(x.ty.dtype))
    constants = [-shift * sums] if shift else []

    def multiplied(groups: te.Tensor, packed: te.Tensor, *constants: te.Tensor) -> te.Tensor:
        made = product(groups, packed)
        return shifted(made, *constants) if constants else made

    return builder.call_te(
        multiplied,
        groups,
        *map(relax.const, (packed, *constants)),
        primfunc_name_hint="matmul",
        primfunc_attrs=FUSABLE,
    )


def sums_bytes(call: relax.Call) -> bool:
    """Whether a product or convolution multiplies int8 or uint8 by int8 and sums in int32."""
    x, w = (str(arg.ty.dtype) for arg in call.args)
    return x in ("int8", "uint8") and w == "int8" and str(call.ty.dtype) == "int32"


def multiplies_rows(call: relax.Call) -> bool:
    """Whether a matmul multiplies rows of known length with a constant matrix."""
    x, w = call.args
    constant = isinstance(w, tvm.ir.expr.GenericConst) and w.ty.ndim == 2
    return constant and x.ty.ndim > 1 and analysis.constant(x.ty.shape[-1]) is not None


def converted_once(before: tvm.IRModule, after: tvm.IRModule) -> tvm.IRModule:
    """The module ``after``, in which products of one operand share its conversion.

    ``before`` is the module without conversions; if there are none, it is the result.
    """
    if after is before:
        return before
    shared = relax.transform.EliminateCommonSubexpr()(after)
    return relax.transform.CanonicalizeBindings()(shared)
