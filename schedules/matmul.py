"""Matrix products and convolutions with their epilogue, one register tile at a time.

The products are those that :mod:`product` recognises.

1. Inline the epilogue into its last block.
2. Split the result into tiles of rows by vectors of columns. Accumulate each tile in registers over
   all of k. Walk the larger operand in the outermost loop, so that it is read once. Run the outer
   loops on all cores. A right operand that is not packed and is used by many rows is copied, a
   panel of columns at a time, into contiguous memory.
3. Write each tile through the epilogue once.
4. The last tile of a row or column overlaps the one before.
5. If rows or columns are symbolic, make one version for each case of :mod:`product_cases`.

k is not split into partial sums, so an element's bits are those of the plain loop.
"""

from dataclasses import dataclass, replace

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from quake_tvm.tvm_version import tir

from . import analysis, product, product_tiles
from .choice import Decide
from .overlap import OVERLAP, overlaps
from .product import Product
from .product_cases import Extent, cases
from .product_tiles import Plan, widths
from .retile import Tiled
from .rule import Scheduled
from .stages import copy, in_registers
from .versions import Version, of_every_size


@dataclass(frozen=True)
class _Kernel:
    """A product's kernel before it is tiled.

    Attributes
    ----------
    sch : Schedule
    found : Product
    epilogue : SBlockRV
        The block that writes the result to memory.
    loops : list of LoopRV
        The epilogue's loops, one for each spatial iterator of the product.
    shape : list of int or Expr
        Extents of these loops.
    whole : int or None
        Columns of the product. The epilogue may write only the first of them.
    innermost : int or None
        Extent of the last loop over k.
    """

    sch: s_tir.Schedule
    found: Product
    epilogue: SBlockRV
    loops: list[LoopRV]
    shape: list[Extent]
    whole: int | None
    innermost: int | None

    @property
    def rows(self) -> int | None:
        """The extent that tiles divide into rows."""
        return analysis.constant(self.shape[self.found.row])

    @property
    def columns(self) -> int | None:
        """The extent that tiles divide into vectors."""
        return analysis.constant(self.shape[self.found.column])


def _kernel(function: tir.PrimFunc, target: tvm.target.Target) -> _Kernel | None:
    """Recognise a product and inline its epilogue."""
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    found = product.find(sch, blocks) if blocks else None
    if found is None:
        return None
    loops = sch.get_loops(found.block)
    whole = analysis.extent(sch, loops[found.column])
    if analysis.elements(sch, loops) == 0:
        return None
    if found.packed and found.packed not in widths(whole, target).values():
        return None
    innermost = analysis.extent(sch, loops[-1])
    for producer in sch.get_producers(found.block):
        copy(sch, producer, target)
    epilogue = in_registers(sch, found.block, target)
    own = sch.get_loops(epilogue)
    if len(own) != found.column + 1 or analysis.elements(sch, own) == 0:
        return None
    extents = [sch.get(loop).extent for loop in own]
    shape = [n if analysis.constant(n) is None else int(n) for n in extents]
    return _Kernel(sch, found, epilogue, own, shape, whole, innermost)


def apply(function: tir.PrimFunc, target: tvm.target.Target, decide: Decide) -> Scheduled:
    """Schedule one product and what is fused around it.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    kernel = _kernel(function, target)
    if kernel is None:
        return None
    found, rows, columns = kernel.found, kernel.rows, kernel.columns
    plan = product_tiles.plan(found, rows, columns, kernel.innermost, target, decide(found.key))
    if rows is not None and columns is not None:
        return _tiled(kernel, plan)[0]
    weights = analysis.volume(kernel.sch.get(found.block).reads[1].source.shape)
    small = weights is not None and weights <= product_tiles.CACHED
    plan = replace(plan, by_rows=bool(found.packed) and found.pixels and small)
    versions: list[Version] = []
    made: dict[Plan, Tiled] = {}
    for when, given, tile in cases(kernel.shape, found, plan, target):
        version = Version(_version(kernel, tile, made), when, given)
        if not versions and not overlaps(version.function, given):
            return _tiled(kernel, plan, peeled=True)[0]
        versions.append(version)
    return of_every_size(versions)


def _version(kernel: _Kernel, plan: Plan, made: dict[Plan, Tiled]) -> tir.PrimFunc:
    """The kernel in tiles of a plan. ``made`` has a schedule for each plan, whatever its height."""
    alike = replace(plan, rows=0)
    again = made[alike].of_size(plan.rows) if alike in made else None
    if again is not None:
        return again
    copy = replace(kernel, sch=kernel.sch.copy())
    sch, number = _tiled(copy, plan)
    function = sch.mod["main"]
    if plan.rows > 1:
        made[alike] = Tiled(function, number, plan.rows, kernel.shape[kernel.found.row])
    return function


def _tiled(kernel: _Kernel, plan: Plan, peeled: bool = False) -> tuple[s_tir.Schedule, tir.Var]:
    """Split the result into tiles and accumulate each in registers.

    If ``peeled``, last tiles along symbolic extents get loops of their own instead of overlapping.
    Returns the schedule, and the variable of the loop over tiles of rows.
    """
    sch, found, epilogue, own = kernel.sch, kernel.found, kernel.epilogue, kernel.loops
    i_outer, i_inner = sch.split(own[found.row], [None, plan.rows])
    number = sch.get(i_outer).loop_var
    j_outer, j_inner = sch.split(own[found.column], [None, plan.vectors * plan.lanes])
    batch, free = [own[n] for n in found.batch], [own[n] for n in found.free]
    first, second = (i_outer, j_outer) if plan.by_rows else (j_outer, i_outer)
    lead, rest = [*batch, *(free if plan.by_rows else ())], [] if plan.by_rows else free
    # The last tile also gets a loop of its own if the epilogue writes fewer columns than the panels
    # have.
    cut = bool(found.packed) and kernel.columns != kernel.whole
    open_ended = peeled and (kernel.rows if plan.by_rows else kernel.columns) is None
    if open_ended or (cut and lead and not plan.by_rows):
        shared, walked = lead, [first, *rest, second]
    else:
        shared, walked = [*lead, first], [*rest, second]
    copy = sch.cache_read(found.block, 1, "global") if plan.copied else None
    sch.reorder(*shared, *walked, i_inner, j_inner)
    for loop, extent in ((i_outer, kernel.rows), (j_outer, kernel.columns)):
        if peeled and extent is None:
            analysis.peel(sch, loop)
    sch.annotate(epilogue, OVERLAP, [found.row] if cut else [found.row, found.column])
    known = None not in [analysis.extent(sch, loop) for loop in shared]
    if not shared:
        outer = [sch.add_unit_loop(walked[0])]
    else:
        outer = [sch.fuse(*shared)] if known else analysis.groups(sch, shared)
    if cut:
        analysis.peel(sch, j_outer if j_outer in walked else outer[-1])
    if plan.parallel is not None:
        sch.parallel(outer[plan.parallel])
    sch.compute_at(found.block, walked[-1], preserve_unit_loops=True)
    if copy is not None:
        sch.compute_at(copy, outer[-1], preserve_unit_loops=True)
        *_, along = sch.get_loops(copy)
        sch.vectorize(sch.split(along, [None, plan.lanes])[1])
    _registers(sch, found, plan.lanes, plan.unroll)
    sch.vectorize(sch.split(j_inner, [None, plan.lanes])[1])
    return sch, number


def _registers(sch: s_tir.Schedule, found: Product, width: int, unroll: int) -> None:
    """Reorder the loops in a tile: k outermost, rows and vectors unrolled inside."""
    inner = sch.get_loops(found.block)[-len(sch.get(found.block).iter_vars) :]
    m, n, depth = inner[found.row], inner[found.column], inner[found.column + 1 :]
    if unroll > 1:
        depth[-1:] = sch.split(depth[-1], [None, unroll])
        sch.unroll(depth[-1])
    n_outer, n_vector = sch.split(n, [None, width])
    sch.reorder(*depth, m, n_outer, n_vector)
    sch.vectorize(n_vector)
    sch.unroll(m)
    sch.unroll(n_outer)
    init = sch.decompose_reduction(found.block, depth[0])
    *_, m, n_outer, n_vector = sch.get_loops(init)
    sch.vectorize(n_vector)
    sch.unroll(m)
    sch.unroll(n_outer)
