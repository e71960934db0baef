"""Rewrite a product or a recurrent layer with packed weights for panels of another width.

A tuner needs this to try other widths, because :mod:`quake_tvm.passes.relax.pack_weights` and
similar passes choose the width before scheduling. Knows no target.
"""

import tvm
import tvm_ffi

from quake_tvm.tvm_version import tir

from . import analysis, product, recurrent_panels
from .product import panel_of, within_panel


def panel_width(function: tir.PrimFunc) -> int:
    """Columns in a panel of an unscheduled function's weights, 0 if they are not packed."""
    if recurrent_panels.units(function):
        return recurrent_panels.units(function)
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    found = product.find(sch, blocks) if blocks else None
    if found is None or not found.packed:
        return 0
    weights = sch.get(found.block).reads[1].source
    return found.packed if any(p.same_as(weights) for p in function.params) else 0


def repacked(function: tir.PrimFunc, width: int) -> tir.PrimFunc:
    """The same product with weights in panels of ``width`` columns.

    Parameters
    ----------
    function : PrimFunc
        Not scheduled. One parameter is the packed weights, of shape (.., n/p, .., p), so that
        :func:`panel_width` is not 0.
    width : int
        At most the number of columns.

    Returns
    -------
    PrimFunc
        Its weights have the shape (.., n/width, .., width), rounded up. All else is unchanged. The
        function itself if it already has that width, or if its weights are not packed.
    """
    if recurrent_panels.units(function):
        return recurrent_panels.repacked(function, width)
    sch = analysis.start(function)
    found = product.find(sch, analysis.blocks(sch) or [])
    columns = found.key["columns"] if found is not None else None
    if found is None or found.packed is None or columns is None or found.packed == width:
        return function
    block = sch.get(found.block)
    old = block.reads[1].source
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
