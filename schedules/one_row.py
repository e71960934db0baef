"""Products over images of symbolic size as products over images of one row.

A convolution whose window is one pixel treats all pixels alike, so an image of n x h x w pixels is
one of 1 x 1 x (n h w), and a batch of b matrices of m rows is one of 1 x (b m). Then tiles go over
all pixels instead of over those of each row. Only the last of many tiles overlaps, so one height of
tiles serves all sizes. Knows no tile and no target.
"""

import math
from dataclasses import dataclass

import tvm
import tvm_ffi
from tvm import s_tir

from quake_tvm.tvm_version import dtype_of, tir

from . import analysis
from .tiles import Place, places, substituted, uses


@dataclass(frozen=True)
class OneRow:
    """A kernel over one row.

    Attributes
    ----------
    function : PrimFunc
        The kernel. Its tensors over pixels have the extents 1, .., 1 and a variable in front of
        their other extents.
    original : PrimFunc
        The kernel over the images.
    rank : int
        How many extents the pixels have.
    """

    function: tir.PrimFunc
    original: tir.PrimFunc
    rank: int

    @classmethod
    def of(cls, function: tir.PrimFunc) -> "OneRow | None":
        """A product over one row.

        Parameters
        ----------
        function : PrimFunc
            Not scheduled.

        Returns
        -------
        OneRow or None
            None if the kernel has other than one reduction, if the innermost of the outer extents
            of the reduction's result is constant or the only one, or if an index over pixels is
            used otherwise than to access compact tensors over all of them.
        """
        here = places(function) or [] if isinstance(function.body, s_tir.SBlockRealize) else []
        sums = [place.block for place in here if place.block.init is not None]
        if len(sums) != 1:
            return None
        pixels = list(sums[0].writes[0].source.shape)[:-1]
        if len(pixels) < 2 or analysis.constant(pixels[-1]) is not None:
            return None
        if not all(_walks_alike(place, pixels) for place in here):
            return None
        row = tir.Var("pixels", dtype_of(pixels[-1]))
        one = [*(tir.const(1, dtype_of(n)) for n in pixels[:-1]), row]
        every = [p for p in function.params if hasattr(p.ty, "shape")]
        new = [
            (each, tir.decl_buffer([*one, *each.shape[len(one) :]], each.dtype, each.name,
                                   scope=each.scope(), layout=None))
            for each in [*every, *function.body.block.alloc_buffers]
            if _over(each, pixels)
        ]  # fmt: skip
        extents: list[tuple[tir.Var, tir.Expr]] = []
        for place in here:
            if _over(place.block.writes[0].source, pixels):
                extents += zip([loop.loop_var for loop in place.loops], one, strict=False)
                extents += zip([each.var for each in place.block.iter_vars], one, strict=False)
        body = substituted(_with_extents(function.body, extents), new)
        params = [next((b for a, b in new if p.same_as(a)), p) for p in function.params]
        return cls(
            tir.PrimFunc(params, body, function.ret_type, function.attrs), function, len(one)
        )

    def over_images(self, scheduled: tir.PrimFunc) -> tir.PrimFunc:
        """The kernel over the images, from :attr:`function` scheduled.

        The number of a pixel takes the place of the last index: an address is the sum of the
        indices times the strides.
        """
        pairs: list[tuple[tir.Var, tir.Expr]] = []
        for new, old in zip(scheduled.params, self.original.params, strict=True):
            if not new.same_as(old):
                pairs.append((new, old))
                row = new.ty.shape[self.rank - 1]
                if isinstance(row, tir.Var) and not row.same_as(old.ty.shape[self.rank - 1]):
                    pairs.append((row, math.prod(list(old.ty.shape)[1 : self.rank],
                                                 start=old.ty.shape[0])))  # fmt: skip
        body = substituted(scheduled.body, pairs)
        return tir.PrimFunc(self.original.params, body, scheduled.ret_type, scheduled.attrs)


def _over(tensor: tir.Var, pixels: list[tir.Expr]) -> bool:
    """Whether a tensor's outer extents are those of the pixels."""
    return analysis.same(list(tensor.shape)[: len(pixels)], pixels)


def _walks_alike(place: Place, pixels: list[tir.Expr]) -> bool:
    """Whether a block may run over one row of pixels.

    It runs over all pixels in order, and uses the index of a pixel only to access compact tensors
    over all pixels; or it accesses no such tensor.
    """
    block, count = place.block, len(pixels)
    over = _over(block.writes[0].source, pixels)
    at = [each.var for each in block.iter_vars[:count]] if over else []
    if over and not (
        len(block.writes) == 1
        and len(at) == count <= len(place.loops)
        and analysis.constant(place.realize.predicate) == 1
        and analysis.same([loop.extent for loop in place.loops[:count]], pixels)
        and analysis.same([each.dom.extent for each in block.iter_vars[:count]], pixels)
        and all(analysis.constant(loop.min) == 0 for loop in place.loops[:count])
        and all(analysis.constant(each.dom.min) == 0 for each in block.iter_vars[:count])
        and all(
            value.same_as(loop.loop_var)
            for value, loop in zip(place.realize.iter_values[:count], place.loops, strict=False)
        )
        and not any(
            uses(value, loop.loop_var)
            for value in place.realize.iter_values[count:]
            for loop in place.loops[:count]
        )
    ):
        return False
    fits: list[bool] = []

    def access(tensor: tir.Var, indices: list[tir.Expr]) -> None:
        mine = over and _over(tensor, pixels) and analysis.compact(tensor)
        if mine and not analysis.same(indices[:count], at):
            fits.append(False)
        rest = indices[count:] if mine else indices
        fits.append(mine or not _over(tensor, pixels))
        fits.append(not any(uses(index, var) for index in rest for var in at))

    def load(node: tvm.ir.TensorLoad) -> tir.Expr:
        access(node.source, list(node.indices))
        return tir.const(0, dtype_of(node))

    for store in (block.body, block.init):
        if store is None:
            continue
        if not isinstance(store, tir.BufferStore):
            return False
        access(store.buffer, list(store.indices))
        value = tvm_ffi.structural_map(store.value, (tvm.ir.TensorLoad, load))
        fits.append(not any(uses(value, var) for var in at))
    return all(fits)


def _with_extents(body: tir.Stmt, extents: list[tuple[tir.Var, tir.Expr]]) -> tir.Stmt:
    """The statement with other extents of these variables of loops and blocks."""

    def of(variable: tir.Var) -> tir.Expr | None:
        return next((extent for each, extent in extents if variable.same_as(each)), None)

    def loop(node: tir.For) -> tir.For:
        extent = of(node.loop_var)
        if extent is None:
            return node
        return tir.For(
            node.loop_var, node.min, extent, node.kind, node.body, node.thread_binding,
            node.annotations, node.step,
        )  # fmt: skip

    def iterator(each: tir.IterVar) -> tir.IterVar:
        extent = of(each.var)
        if extent is None:
            return each
        domain = tvm.ir.Range.from_min_extent(each.dom.min, extent)
        return tir.IterVar(domain, each.var, each.iter_type)

    def block(node: s_tir.SBlock) -> s_tir.SBlock:
        return s_tir.SBlock(
            [*map(iterator, node.iter_vars)], node.reads, node.writes, node.name_hint, node.body,
            node.init, node.alloc_buffers, node.match_buffers, node.annotations,
        )  # fmt: skip

    return tvm_ffi.structural_map(body, [(tir.For, loop), (s_tir.SBlock, block)])
