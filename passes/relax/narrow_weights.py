"""Store constant weights in half precision, if the rounding of each stays small.

Products read the whole of their weights, so that of a few rows takes half the time. Small tables
stay, as those of positions in an image, whose elements are no features. So do the few weights of
convolutions of several groups, and of those from or to one channel.
"""

import math
from collections.abc import Collection

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.errors import QuakeError
from quake_tvm.numerics.number_formats import FORMATS, HALVES
from quake_tvm.tvm_version import Pass

from .graph import functions, op_name
from .quantize_products import in_bytes, quantizable
from .weights import TABLE, computed_in_float32, product, weights_of

# Elements of a table that is worth it.
_TABLE = 1 << 20
# Elements that are compared at once.
_PART = 1 << 16


def _narrow(values: np.ndarray, dtype: str) -> np.ndarray | None:
    """The values in a format, None if it cannot hold the largest ones."""
    with np.errstate(over="ignore"):
        narrow = values.astype(dtype)
    largest = max(values.max(initial=0), -values.min(initial=0))
    most = FORMATS[dtype].rounding * largest
    wide, rounded = values.reshape(-1), narrow.reshape(-1)
    # In parts, since the differences of a large table would take twice its memory.
    for start in range(0, wide.size, _PART):
        part = slice(start, start + _PART)
        if not (np.abs(rounded[part].astype(np.float32) - wide[part]) <= most).all():
            return None
    return narrow


@mutator
class _Narrower(PyExprMutator):
    """Rewrites functions, and notes the products whose weights can be narrowed, by number."""

    def __init__(
        self,
        mod: tvm.IRModule,
        dtype: str,
        chosen: Collection[int] | None = None,
        integers: Collection[int] = (),
    ) -> None:
        super().__init__(mod)
        self.dtype, self.chosen, self.integers = dtype, chosen, integers
        self.products: list[relax.Call] = []

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Replace the weights of one product or table."""
        call = super().visit_call_(call)
        weights = weights_of(call)
        if weights is None or not self._gains(call, weights):
            return call
        narrow = _narrow(weights.value.numpy().astype(np.float32, copy=False), self.dtype)
        if narrow is None:
            return call
        if op_name(call) != TABLE:
            self.products.append(call)
            if len(self.products) in self.integers and quantizable(call):
                return in_bytes(call)
        if self.chosen is not None and (
            op_name(call) == TABLE or len(self.products) not in self.chosen
        ):
            return call
        own = relax.const(narrow)
        args = [own if arg.same_as(weights) else arg for arg in call.args]
        if op_name(call) != TABLE:
            return product(call, args)
        rows = self.builder_.emit(relax.Call(call.op, args, call.attrs, call.ty_args, call.span))
        return relax.op.astype(rows, "float32")

    def _gains(self, call: relax.Call, weights: tvm.ir.GenericConst) -> bool:
        dtype = str(weights.ty.dtype)
        if op_name(call) == TABLE:
            return dtype == "float32" and math.prod(map(int, weights.ty.shape)) >= _TABLE
        few = op_name(call) != "relax.matmul" and (
            int(call.attrs.groups) > 1 or 1 in map(int, list(weights.ty.shape)[:2])
        )
        return dtype != self.dtype and computed_in_float32(call) and not few


@tvm.transform.module_pass(opt_level=0, name="NarrowWeights")
class NarrowWeights(Pass):
    """Round the weights of float32 products, and of large tables.

    Weights stay if one of them is too large for the format, or if all are so small that it has
    fewer bits for them.

    Parameters
    ----------
    dtype : str
        The format. Nothing is changed if it is float32.
    chosen : collection of int, optional
        The numbers of the products, as in :func:`products`; all of them, and tables, by default.
    integers : collection of int, optional
        The numbers of products that get int8 weights instead, where they can.

    Raises
    ------
    QuakeError
        If a chosen number is larger than the number of products.
    """

    def __init__(
        self,
        dtype: str,
        chosen: Collection[int] | None = None,
        integers: Collection[int] = (),
    ) -> None:
        self.dtype, self.chosen, self.integers = dtype, chosen, integers

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions."""
        if self.dtype not in HALVES:
            return mod
        narrower = _Narrower(mod, self.dtype, self.chosen, self.integers)
        changed = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
        for name, function in functions(mod):
            changed.update_func(
                name, relax.analysis.remove_all_unused(narrower.visit_expr(function))
            )
        if max((*(self.chosen or ()), *self.integers), default=0) > len(narrower.products):
            raise QuakeError(
                f"the plan is for another model: it has more products than this one, which has "
                f"{len(narrower.products)}; plan this model anew"
            )
        return changed


def products(mod: tvm.IRModule, dtype: str) -> list[relax.Call]:
    """The products whose weights :class:`NarrowWeights` can round. The first one has number 1."""
    narrower = _Narrower(mod, dtype, chosen=())
    for _, function in functions(mod):
        narrower.visit_expr(function)
    return narrower.products
