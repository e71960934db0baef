"""Lay constant weights of matrix products out in panels of columns, once, at compile time.

``x w`` with a constant w of shape (k, n) becomes a PrimFunc over w packed as (n/p, k, p): the
schedule walks a panel after the other, and each is contiguous. How wide a panel is is the
schedule's to say. An element's sum keeps its order.
"""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax, te

from .graph import functions, op_name

# TVM's kOutEWiseFusable: what follows may be fused behind it.
_FUSABLE = {"op_pattern": 4}


def packed_matmul(x: te.Tensor, w: te.Tensor) -> te.Tensor:
    """x (.., k) times w (n/p, k, p), the packed form of (k, n)."""
    panels, depth, width = w.shape
    k = te.reduce_axis((0, depth), "k")
    return te.compute(
        (*x.shape[:-1], panels * width),
        lambda *i: te.sum(x(*i[:-1], k) * w(i[-1] // width, k, i[-1] % width), axis=k),
        name="packed_matmul",
    )


@tvm.transform.module_pass(opt_level=0, name="PackWeights")
class PackWeights:
    """Pack every constant float32 matrix on the right of a matmul.

    Parameters
    ----------
    panel : callable
        The width of a panel for a number of columns, None to leave the product alone.
    """

    def __init__(self, panel: Callable[[int], int | None]) -> None:
        self.panel = panel

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Legalize such products, nothing else."""
        present: set[str] = set()
        for _name, function in functions(mod):
            relax.analysis.post_order_visit(function, lambda e: present.add(op_name(e)))
        if "relax.matmul" not in present:
            return mod
        return relax.transform.LegalizeOps(
            customize_legalize_map={"relax.matmul": self._legalize},
            skip_ops=sorted(present - {"relax.matmul", ""}),
        )(mod)

    def _legalize(self, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        x, w = call.args
        dtypes = {str(x.ty.dtype), str(w.ty.dtype), str(call.attrs.out_dtype or "float32")}
        constant = isinstance(w, tvm.ir.expr.GenericConst) and w.ty.ndim == 2
        if not constant or dtypes != {"float32"} or x.ty.ndim < 2:
            return call
        values = w.value.numpy()
        depth, columns = values.shape
        width = self.panel(columns)
        if width is None or depth == 0:
            return call
        panels = values.reshape(depth, columns // width, width).transpose(1, 0, 2)
        packed = relax.const(np.ascontiguousarray(panels), "float32")
        return builder.call_te(
            packed_matmul, x, packed, primfunc_name_hint="matmul", primfunc_attrs=_FUSABLE
        )
