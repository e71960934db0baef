"""Pack constant weights of matrix products in panels of columns, once, at compile time.

``x w`` with a constant w of shape (k, n) becomes a PrimFunc over w packed as (n/p, k, p). The
schedule reads one panel after the other, and each panel is contiguous. The schedule chooses the
width of a panel. The order of each element's sum stays.
"""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax, te

from quake_tvm.schedules import analysis, product
from quake_tvm.schedules.choice import Key
from quake_tvm.schedules.product import panel_of, within_panel
from quake_tvm.tvm_version import Pass, tir

from .legalize import FUSABLE, legalize

# Maps a product's key, and the extent of the dimension that gives a tile its rows (None if
# unknown), to the width of a panel. None leaves the product unchanged.
Panel = Callable[[Key, int | None], int | None]


def packed_matmul(x: te.Tensor, w: te.Tensor, columns: int) -> te.Tensor:
    """The product of x and packed weights.

    Parameters
    ----------
    x : Tensor
        Of shape (.., k).
    w : Tensor
        Of shape (n/p, k, p): the packed form of a matrix (k, columns), as made by :func:`panels`.
    columns : int
        Columns n of the matrix.

    Returns
    -------
    Tensor
        Of shape (.., columns).
    """
    _, depth, width = (int(n) for n in w.shape)
    k = te.reduce_axis((0, depth), "k")

    def element(*i: tir.Expr) -> tir.Expr:
        j = i[-1]
        return te.sum(x(*i[:-1], k) * w(panel_of(j, width), k, within_panel(j, width, columns)), k)

    return te.compute((*x.shape[:-1], columns), element, name="packed_matmul")


def panels(weights: np.ndarray, width: int) -> np.ndarray:
    """Pack (.., n) as (n/width, .., width). The last panel ends with the last column."""
    columns = weights.shape[-1]
    starts = np.minimum(np.arange(0, columns, width), columns - width)
    return np.ascontiguousarray(np.stack([weights[..., s : s + width] for s in starts]))


@tvm.transform.module_pass(opt_level=0, name="PackWeights")
class PackWeights(Pass):
    """Pack every constant float32 matrix that is the right operand of a matmul.

    Parameters
    ----------
    panel : callable
        Takes a product's key and the extent of its second-last axis, and returns the width of a
        panel, or None to leave the product.
    """

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such products. Nothing else is changed."""
        return legalize(mod, {"relax.matmul": self._legalize})

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        x, w = call.args
        dtypes = {str(x.ty.dtype), str(w.ty.dtype), str(call.attrs.out_dtype or "float32")}
        constant = isinstance(w, tvm.ir.expr.GenericConst) and w.ty.ndim == 2
        if not constant or dtypes != {"float32"} or x.ty.ndim < 2:
            return call
        values = w.value.numpy()
        depth, columns = values.shape
        key = product.key(list(x.ty.shape)[:-1], columns, [depth])
        width = self.panel(key, analysis.constant(x.ty.shape[-2]))
        if width is None or depth == 0:
            return call
        return builder.call_te(
            packed_matmul,
            x,
            relax.const(panels(values, width), "float32"),
            columns,
            primfunc_name_hint="matmul",
            primfunc_attrs=FUSABLE,
        )
