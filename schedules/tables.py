"""Compute indices that come from floats once for a kernel, and not for each row.

A resize reads ``x[.., floor((i + 0.5) * scale - 0.5), floor((j + 0.5) * scale - 0.5)]``. An index
like these, and the weights that belong to it, depend on the place along one axis. With sizes that
only the run knows, the compiler cannot compute them, and they take longer than the elements
themselves. They become tables here. Knows no target.
"""

from dataclasses import dataclass

import tvm
import tvm_ffi
from tvm import s_tir

from quake_tvm.tvm_version import Again, Call, descend, dtype_of, tir

from .tiles import mentions, substituted, uses

_ARITHMETIC = (tir.Add, tir.Sub, tir.Mul, tir.Div, tir.Min, tir.Max, tir.Cast, tir.Select, Call)


def in_tables(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with a table for each such part of its element.

    Parameters
    ----------
    function : PrimFunc
        With one block, which may be scheduled: its loops stay as they are.
    """
    root = function.body.block
    found: list[s_tir.SBlockRealize] = []
    tvm_ffi.structural_walk(root.body, (s_tir.SBlockRealize, found.append))
    (realize,) = found
    block = realize.block
    if not block.iter_vars or not isinstance(block.body, tir.BufferStore):
        return function
    tables = _Tables(block)
    stored = block.body
    places = [tables.replaced(each) for each in stored.indices]
    body = tir.BufferStore(stored.buffer, tables.replaced(stored.value), places)
    if not tables.found:
        return function
    reads = [*block.reads, *(_one(table.buffer, table.axis.var) for table in tables.found)]
    reading = s_tir.SBlock(
        block.iter_vars, reads, block.writes, block.name_hint, body, None, [], [],
        block.annotations,
    )  # fmt: skip

    def read(node: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
        if not node.same_as(realize):
            return node
        return s_tir.SBlockRealize(node.iter_values, node.predicate, reading)

    nest = tvm_ffi.structural_map(root.body, (s_tir.SBlockRealize, read))
    first = [table.filled() for table in tables.found]
    buffers = [*root.alloc_buffers, *(table.buffer for table in tables.found)]
    whole = s_tir.SBlock(
        [], root.reads, root.writes, root.name_hint, tir.SeqStmt([*first, nest]), None, buffers, [],
        root.annotations,
    )  # fmt: skip
    return function.with_body(s_tir.SBlockRealize([], True, whole))


@dataclass(frozen=True)
class _Table:
    """A part of an element, and the buffer that has its value at each place along an axis."""

    axis: tir.IterVar
    part: tir.Expr
    buffer: tir.Buffer

    def filled(self) -> tir.Stmt:
        """The loop that computes the values."""
        dtype = dtype_of(self.axis.var)
        place, loop = tir.Var("place", dtype), tir.Var("place", dtype)
        value = substituted(self.part, [(self.axis.var, place)])
        block = s_tir.SBlock(
            [tir.IterVar(self.axis.dom, place, tir.IterVar.DataPar)], [],
            [_one(self.buffer, place)], str(self.buffer.name),
            tir.BufferStore(self.buffer, value, [place]),
        )  # fmt: skip
        each = s_tir.SBlockRealize([loop], True, block)
        extent = self.axis.dom.extent
        return tir.For(loop, tir.const(0, dtype), extent, tir.ForKind.SERIAL, each)


class _Tables:
    """The tables of a block, in ``found``."""

    def __init__(self, block: s_tir.SBlock) -> None:
        self.found: list[_Table] = []
        self._axes = list(block.iter_vars)

    def replaced(self, expr: tir.Expr) -> tir.Expr:
        """The expression with the largest parts that fit replaced by elements of tables."""

        def rule(node: tir.Expr, _: Again) -> tir.Expr | None:
            axis = self._axis(node)
            return None if axis is None else self._element(node, axis)

        return descend(expr, dict.fromkeys(_ARITHMETIC, rule))

    def _axis(self, node: tir.Expr) -> tir.IterVar | None:
        """The only axis on which a node depends, if the node makes an integer of a float."""
        if dtype_of(node) == "bool" or not mentions(node, tir.Cast, _rounds):
            return None
        if mentions(node, tvm.ir.TensorLoad, lambda _: True):
            return None
        used = [axis for axis in self._axes if uses(node, axis.var)]
        return used[0] if len(used) == 1 else None

    def _element(self, part: tir.Expr, axis: tir.IterVar) -> tir.Expr:
        found = (t for t in self.found if tvm_ffi.structural_equal(t.part, part))
        table = next(found, None)
        if table is None:
            name = f"table{len(self.found)}"
            buffer = tir.decl_buffer([axis.dom.extent], dtype_of(part), name, layout=None)
            table = _Table(axis, part, buffer)
            self.found.append(table)
        return tir.BufferLoad(table.buffer, [axis.var])


def _one(buffer: tir.Buffer, place: tir.Var) -> tvm.ir.TensorRegion:
    one = tir.const(1, dtype_of(place))
    return tir.BufferRegion(buffer, [tvm.ir.Range.from_min_extent(place, one)])


def _rounds(cast: tir.Cast) -> bool:
    """Whether a cast makes an integer of a float."""
    return "int" in dtype_of(cast) and "float" in dtype_of(cast.value)
