"""Lay constant weights of matrix products out in panels of columns, once, at compile time.

``x w`` with a constant w of shape (k, n) becomes a PrimFunc over w packed as (n/p, k, p): the
schedule walks a panel after the other, and each is contiguous. How wide a panel is is the
schedule's to say. An element's sum keeps its order.
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

# Width of a panel for a product's key and the rows (None if unknown) of the dimension that tiles
# take theirs from; None: leave it alone.
Panel = Callable[[Key, int | None], int | None]


def packed_matmul(x: te.Tensor, w: te.Tensor, columns: int) -> te.Tensor:
    """x (.., k) times w (n/p, k, p), the packed form of (k, columns)."""
    _, depth, width = (int(n) for n in w.shape)
    k = te.reduce_axis((0, depth), "k")

    def element(*i: tir.Expr) -> tir.Expr:
        j = i[-1]
        return te.sum(x(*i[:-1], k) * w(panel_of(j, width), k, within_panel(j, width, columns)), k)

    return te.compute((*x.shape[:-1], columns), element, name="packed_matmul")


def panels(weights: np.ndarray, width: int) -> np.ndarray:
    """(.., n) as (n/width, .., width); the last panel ends with the last column."""
    columns = weights.shape[-1]
    starts = np.minimum(np.arange(0, columns, width), columns - width)
    return np.ascontiguousarray(np.stack([weights[..., s : s + width] for s in starts]))


@tvm.transform.module_pass(opt_level=0, name="PackWeights")
class PackWeights(Pass):
    """Pack every constant float32 matrix on the right of a matmul.

    Parameters
    ----------
    panel : callable
        Says how wide panels are.
    """

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such products, nothing else."""
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
