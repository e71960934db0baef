"""Pack constant weights of matrix products in panels of columns, once, at compile time.

``x w`` with a constant w of shape (k, n) becomes a PrimFunc over w packed as (n/p, k, p). The
schedule reads one panel after the other, and each panel is contiguous. The schedule chooses the
width of a panel. The order of each element's sum stays. Weights in half precision stay so; they
are widened as they are read.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import tvm
from tvm import relax, te

from quake_tvm.kernels.bfloat16_products import halves, pair_term
from quake_tvm.numerics.bfloat16_pairs import packed_rows
from quake_tvm.numerics.number_formats import COMPUTED, widen
from quake_tvm.schedules import analysis, product
from quake_tvm.schedules.choice import Key
from quake_tvm.schedules.product import panel_of, within_panel
from quake_tvm.tvm_version import Pass, tir

from .legalize import FUSABLE, legalize
from .weights import computed_in_float32

# Maps a product's key, and the extent of the dimension that gives a tile its rows (None if
# unknown), to the width of a panel. None leaves the product unchanged.
Panel = Callable[[Key, int | None], int | None]
# What a product sums, from the elements of a row of x by their number, that number, and a weight.
Term = Callable[[Callable[[tir.Expr], tir.Expr], tir.Expr, tir.Expr], tir.Expr]


def widened_term(x: Callable[[tir.Expr], tir.Expr], k: tir.Expr, w: tir.Expr) -> tir.Expr:
    """The product of a float32 and of a weight in any format."""
    return x(k) * widen(w)


def packed_matmul(x: te.Tensor, w: te.Tensor, columns: int, term: Term = widened_term) -> te.Tensor:
    """The product of x and packed weights.

    Parameters
    ----------
    x : Tensor
        Of shape (.., k), or the halves of such a matrix.
    w : Tensor
        Of shape (n/p, k, p): the packed form of a matrix (k, columns), as made by :func:`panels`.
    columns : int
        Columns n of the matrix.
    term : callable
        What is summed.

    Returns
    -------
    Tensor
        Of shape (.., columns).
    """
    _, depth, width = (int(n) for n in w.shape)
    k = te.reduce_axis((0, depth), "k")

    def element(*i: tir.Expr) -> tir.Expr:
        j = i[-1]
        right = w(panel_of(j, width), k, within_panel(j, width, columns))
        return te.sum(term(lambda n: x(*i[:-1], n), k, right), k)

    return te.compute((*x.shape[:-1], columns), element, name="packed_matmul")


def panels(weights: np.ndarray, width: int) -> np.ndarray:
    """Pack (.., n) as (n/width, .., width). The last panel ends with the last column."""
    columns = weights.shape[-1]
    starts = np.minimum(np.arange(0, columns, width), columns - width)
    return np.ascontiguousarray(np.stack([weights[..., s : s + width] for s in starts]))


@tvm.transform.module_pass(opt_level=0, name="PackWeights")
class PackWeights(Pass):
    """Pack every constant matrix that is the right operand of a float32 matmul.

    Parameters
    ----------
    panel : callable
        Takes a product's key and the extent of its second-last axis, and returns the width of a
        panel, or None to leave the product.
    precision : str
        ``"bfloat16"``: x is rounded to it where the weights are bfloat16. Sums are always float32.
    """

    def __init__(self, panel: Panel, precision: str = COMPUTED) -> None:
        self.panel, self.precision = panel, precision

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such products. Nothing else is changed."""
        return legalize(mod, {"relax.matmul": self._legalize})

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        x, w = call.args
        constant = isinstance(w, tvm.ir.expr.GenericConst) and w.ty.ndim == 2
        if not constant or not computed_in_float32(call) or x.ty.ndim < 2:
            return call
        paired = w.ty.dtype == self.precision == "bfloat16"
        values = packed_rows(w.value.numpy()) if paired else w.value.numpy()
        depth, columns = values.shape
        rows = list(x.ty.shape)[:-1]
        key = product.key(rows, columns, [depth], dtype=str(values.dtype))
        width = self.panel(key, analysis.constant(x.ty.shape[-2]))
        if width is None or depth == 0:
            return call
        return builder.call_te(
            partial(packed_matmul, term=pair_term if paired else widened_term),
            in_halves(builder, x) if paired else x,
            relax.const(panels(values, width)),
            columns,
            primfunc_name_hint="matmul",
            primfunc_attrs=FUSABLE,
        )


def in_halves(builder: relax.BlockBuilder, x: relax.Expr) -> relax.Var:
    """The elements of x rounded to bfloat16."""
    return builder.emit(builder.call_te(halves, x, primfunc_name_hint="halves"))
