"""A scheduled kernel with tiles of another size, without scheduling it again.

A kernel of a symbolic extent has a version for each size of its tiles, and TVM takes long for each
step of a schedule over symbolic extents. The versions differ only in the number of tiles, in the
first index of each, and in the extents of the loops over a tile. This module changes these in a
finished schedule. Whether the last tile may overlap the one before is proven for each version
later, as for any schedule. Knows no rule.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tvm_ffi
from tvm import s_tir

from quake_tvm.tvm_version import dtype_of, tir

from . import analysis
from .tiles import conjuncts


@dataclass(frozen=True)
class Tiled:
    """A scheduled kernel of which one axis is split into tiles.

    Attributes
    ----------
    function : PrimFunc
    number : Var
        The variable of the loop over tiles.
    size : int
        Indices in a tile, at least 2.
    extent : Expr
        Indices in total.
    """

    function: tir.PrimFunc
    number: tir.Var
    size: int
    extent: tir.Expr

    def of_size(self, size: int) -> tir.PrimFunc | None:
        """The same schedule with tiles of this size.

        Parameters
        ----------
        size : int
            Indices in a tile, at least 1.

        Returns
        -------
        PrimFunc or None
            None if an index is computed otherwise than from the first index of its tile.
        """
        within = self._within()
        if within is None:
            return None
        new = tir.const(size, dtype_of(self.number))

        def first(node: tir.Mul) -> tir.Expr:
            if not self._is_first(node):
                return node
            return self.number if size == 1 else tir.Mul(self.number, new)

        def resized(loop: tir.For) -> tir.For:
            if loop.loop_var.same_as(self.number):
                extent = (self.extent + (size - 1)) // new
            elif any(map(loop.loop_var.same_as, within)):
                extent = new
            else:
                return loop
            return tir.For(
                loop.loop_var, loop.min, extent, loop.kind, loop.body, loop.thread_binding,
                loop.annotations, loop.step,
            )  # fmt: skip

        def unguarded(realize: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
            kept = [guard for guard in conjuncts(realize.predicate) if not self._limits(guard)]
            predicate = tir.all(*kept) if kept else tir.const(True, "bool")
            return s_tir.SBlockRealize(realize.iter_values, predicate, realize.block)

        rules: list[tuple[type, Callable]] = [(tir.Mul, first), (tir.For, resized)]
        if size == 1:  # such a tile is always whole
            rules.append((s_tir.SBlockRealize, unguarded))
        return self.function.with_body(tvm_ffi.structural_map(self.function.body, rules))

    def _is_first(self, node: tir.Expr) -> bool:
        """Whether an expression is the first index of the tile."""
        times = isinstance(node, tir.Mul) and analysis.constant(node.b) == self.size
        return times and node.a.same_as(self.number)

    def _limits(self, guard: tir.Expr) -> bool:
        """Whether a guard says that an index of a tile of one index exists."""
        of_sum = isinstance(guard, tir.LT) and isinstance(guard.a, tir.Add)
        return of_sum and guard.a.a.same_as(self.number) and analysis.same([guard.b], [self.extent])

    def _within(self) -> list[tir.Var] | None:
        """The variables of the loops over the indices of a tile. None as in :meth:`of_size`."""
        within: list[tir.Var] = []
        fits: list[bool] = []

        def index(node: tir.Add) -> tir.Expr:
            if not self._is_first(node.a) or not isinstance(node.b, tir.Var):
                return node
            within.append(node.b)
            return tir.const(0, dtype_of(node))

        def check(loop: tir.For) -> None:
            if any(map(loop.loop_var.same_as, within)):
                fits.append(analysis.constant(loop.extent) == self.size)

        def check_use(variable: tir.Var, kind: tvm_ffi.DefRegionKind) -> None:
            if kind == tvm_ffi.DefRegionKind.NONE and any(map(variable.same_as, moving)):
                fits.append(False)

        rest = tvm_ffi.structural_map(self.function.body, (tir.Add, index))
        moving = [self.number, *within]
        tvm_ffi.structural_walk(rest, (tir.For, check), with_def_region_kind=(tir.Var, check_use))
        return within if within and all(fits) else None
