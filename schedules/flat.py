"""Element-wise kernels of symbolic shape with one loop over axes that all tensors share.

Each tensor either has the result's innermost axes next to each other and is read where the result
is written, or has none of them. Then the elements along these axes are addressed by their number in
memory. In a tensor that is read, other axes may stand behind them. With an index for each axis, the
code would divide by symbolic extents for every element, or its rows would be shorter than a vector.
Knows no tile and no target.
"""

import math

import tvm
import tvm_ffi
from tvm import s_tir, sym

from quake_tvm.tvm_version import dtype_of, tir

from . import analysis
from .tiles import substituted, uses


def flattened(function: tir.PrimFunc) -> tir.PrimFunc | None:
    """The function as one loop.

    Parameters
    ----------
    function : PrimFunc
        With a root block that allocates nothing.

    Returns
    -------
    PrimFunc or None
        None if the function is not a single spatial block that writes the whole result, or if the
        block uses an index otherwise than to access compact tensors of the result's shape.
    """
    return _joined(function, 0)


def with_long_rows(function: tir.PrimFunc) -> tir.PrimFunc | None:
    """The function with one loop over as many innermost axes as possible, but not over all.

    Parameters
    ----------
    function : PrimFunc
        As for :func:`flattened`.

    Returns
    -------
    PrimFunc or None
        None if there are no two such axes.
    """
    _, loops = _nest(function)
    joined = (_joined(function, first) for first in range(1, len(loops) - 1))
    return next((each for each in joined if each is not None), None)


def _nest(function: tir.PrimFunc) -> tuple[tir.Stmt, list[tir.For]]:
    """What is in the loops, and the loops."""
    inner, loops = function.body.block.body, []
    while isinstance(inner, tir.For):
        loops.append(inner)
        inner = inner.body
    return inner, loops


def _joined(function: tir.PrimFunc, first: int) -> tir.PrimFunc | None:
    """The function with one loop over the axes from this one, as for :func:`flattened`."""
    root = function.body.block
    inner, loops = _nest(function)
    if not isinstance(inner, s_tir.SBlockRealize) or root.alloc_buffers:
        return None
    block = inner.block
    kept, at = block.iter_vars[:first], [each.var for each in block.iter_vars[first:]]
    plain = at and isinstance(block.body, tir.BufferStore) and block.init is None
    if not plain or not _walks_alike(block, at) or not _writes_all(inner, loops):
        return None
    shape = list(block.writes[0].source.shape)[first:]
    count = math.prod(shape[1:], start=shape[0])
    zero = tir.const(0, dtype_of(count))
    number = tir.IterVar(tvm.ir.Range.from_min_extent(zero, count), "element", tir.IterVar.DataPar)
    # Only the last index moves: an address is the sum of the indices times the strides.
    flat = [*((var, tir.const(0, dtype_of(var))) for var in at[:-1]), (at[-1], number.var)]

    def accessed(regions: list[tvm.ir.TensorRegion]) -> list[tvm.ir.TensorRegion]:
        return [substituted(region, flat) for region in regions]

    one = s_tir.SBlock(
        [*kept, number], accessed(block.reads), accessed(block.writes), block.name_hint,
        substituted(block.body, flat), None, [], [], block.annotations,
    )  # fmt: skip
    loop = tir.Var("element", dtype_of(count))
    places = [*list(inner.iter_values)[:first], loop]
    body: tir.Stmt = tir.For(
        loop, zero, count, tir.ForKind.SERIAL, s_tir.SBlockRealize(places, True, one)
    )
    for outer in reversed(loops[:first]):
        body = tir.For(outer.loop_var, outer.min, outer.extent, outer.kind, body)
    whole = s_tir.SBlock(
        [], root.reads, root.writes, root.name_hint, body, None, [], [], root.annotations
    )
    return function.with_body(s_tir.SBlockRealize([], True, whole))


def _writes_all(realize: s_tir.SBlockRealize, loops: list[tir.For]) -> bool:
    """Whether the loops go over all elements of the result, in the order of its axes."""
    ranges = [*((loop.min, loop.extent) for loop in loops)]
    ranges += [(each.dom.min, each.dom.extent) for each in realize.block.iter_vars]
    shape, known = list(realize.block.writes[0].source.shape), sym.Analyzer()
    return (
        analysis.same(list(realize.iter_values), [loop.loop_var for loop in loops])
        and analysis.constant(realize.predicate) == 1
        and all(analysis.constant(least) == 0 for least, _ in ranges)
        and all(map(known.can_prove_equal, [n for _, n in ranges], [*shape, *shape]))
    )


def _walks_alike(block: s_tir.SBlock, at: list[tir.Var]) -> bool:
    """Whether the block uses these innermost iterators only to access compact tensors.

    They are neighbouring indices of each such access, and their extents those of the tensor. Other
    tensors may be read where the elements of these tensors say.
    """
    result = block.writes[0].source
    shape = list(result.shape)[-len(at) :]

    def fits(tensor: tir.Var, indices: list[tir.Expr]) -> bool:
        def stands_at(first: int) -> bool:
            here = slice(first, first + len(at))
            rest = [*indices[:first], *indices[here.stop :]]
            return (
                analysis.same(list(tensor.shape)[here], shape)
                and analysis.same(indices[here], at)
                and not any(uses(index, var) for index in rest for var in at)
            )

        return analysis.compact(tensor) and any(map(stands_at, range(len(indices) - len(at) + 1)))

    alike = [fits(result, list(block.body.indices))]

    def other(load: tvm.ir.TensorLoad) -> tir.Expr:  # inner loads come first, and are 0 by now
        moves = any(uses(index, var) for index in load.indices for var in at)
        alike.append(not moves or fits(load.source, list(load.indices)))
        return tir.const(0, dtype_of(load))

    rest = tvm_ffi.structural_map(block.body.value, (tvm.ir.TensorLoad, other))
    return all(alike) and not any(uses(rest, var) for var in at)


def in_vectors(flat: tir.PrimFunc, width: int, parallel: bool) -> tir.PrimFunc:
    """A flattened function with a loop over vectors, of which the last overlaps the one before.

    Parameters
    ----------
    flat : PrimFunc
        A result of :func:`flattened` with at least ``width`` elements.
    width : int
        Elements of a vector.
    parallel : bool
        Whether the vectors are computed on all cores.
    """
    root = flat.body.block
    loop = root.body
    count, dtype = loop.extent, dtype_of(loop.extent)
    zero, vector, lane = tir.const(0, dtype), tir.Var("vector", dtype), tir.Var("lane", dtype)
    place = tir.min(vector * width, count - width) + lane
    realize = s_tir.SBlockRealize([place], True, loop.body.block)
    kind = tir.ForKind.PARALLEL if parallel else tir.ForKind.SERIAL
    lanes = tir.For(lane, zero, tir.const(width, dtype), tir.ForKind.VECTORIZED, realize)
    body = tir.For(vector, zero, (count + width - 1) // width, kind, lanes)
    whole = s_tir.SBlock(
        [], root.reads, root.writes, root.name_hint, body, None, [], [], root.annotations
    )
    return flat.with_body(s_tir.SBlockRealize([], True, whole))
