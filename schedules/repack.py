"""Rewrite a product with packed weights for panels of another width.

What a tuner needs to try other widths: packing is decided before scheduling, by
:mod:`quake_tvm.passes.relax.pack_weights` and its like. Knows no target.
"""

import tvm
import tvm_ffi

from quake_tvm.tvm_version import tir

from . import analysis, product
from .product import panel_of, within_panel


def panel_width(function: tir.PrimFunc) -> int:
    """Columns of a panel of the unscheduled function's weights, 0 if it has none."""
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    found = product.find(sch, blocks) if blocks else None
    if found is None or not found.packed:
        return 0
    weights = sch.get(found.block).reads[1].source
    return found.packed if any(p.same_as(weights) for p in function.params) else 0


def repacked(function: tir.PrimFunc, width: int) -> tir.PrimFunc:
    """The same product of weights in panels of ``width`` columns.

    Parameters
    ----------
    function : PrimFunc
        Unscheduled, one of its parameters the weights (.., n/p, .., p): :func:`panel_width` is not
        0.
    width : int
        At most the number of columns.

    Returns
    -------
    PrimFunc
        With weights of shape (.., n/width, .., width), rounded up; all else stays. The function
        itself if that is the width it has.
    """
    sch = analysis.start(function)
    found = product.find(sch, analysis.blocks(sch))
    if width == found.packed:
        return function
    block = sch.get(found.block)
    old, columns = block.reads[1].source, found.key.shape[-2]
    at = [r.min for r in block.reads[1].region]
    column = block.iter_vars[found.column].var
    panel = panel_of(column, found.packed)
    axis = next(n for n, index in enumerate(at) if tvm_ffi.structural_equal(index, panel))
    dtype = old.ty.shape[axis].ty.dtype
    shape = list(old.ty.shape)
    shape[axis], shape[-1] = tir.const(-(-columns // width), dtype), tir.const(width, dtype)
    new = tir.decl_buffer(shape, old.ty.dtype, old.name, layout=None)
    at[axis], at[-1] = panel_of(column, width), within_panel(column, width, columns)

    def load(node: tvm.ir.TensorLoad) -> tir.Expr:
        return tir.BufferLoad(new, at) if node.source.same_as(old) else node

    def region(node: tvm.ir.TensorRegion) -> tvm.ir.TensorRegion:
        if not node.source.same_as(old):
            return node
        return tir.BufferRegion(new, [tvm.ir.Range.from_min_extent(i, 1) for i in at])

    body = tvm_ffi.structural_map(function.body, (tvm.ir.TensorLoad, load))
    body = tvm_ffi.structural_map(body, (tvm.ir.TensorRegion, region))
    params = [new if p.same_as(old) else p for p in function.params]
    return tir.PrimFunc(params, body, function.ret_type, function.attrs)
