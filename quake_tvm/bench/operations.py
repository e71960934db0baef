"""Count what a kernel executes: arithmetic in floating point, and bytes loaded and stored.

A loop's body counts as often as the loop's extent says. Of the two cases of a condition the larger
counts. A multiply-add is two operations; conversions, comparisons, moves and dot products of bytes
are none. Knows no time.
"""

import math
from dataclasses import dataclass

import tvm
import tvm_ffi
from tvm import s_tir

from ..tvm_version import PREFIX, Call, Expr, Stmt, tir

_ONE = (tir.Add, tir.Sub, tir.Mul, tir.Div, tir.Max, tir.Min)
_FMA = f"{PREFIX}fma"
_FLOATS = tvm.DataTypeCode.FLOAT, tvm.DataTypeCode.BFLOAT


@dataclass(frozen=True)
class Work:
    """What a call executes; NaN if only a run knows how often a loop repeats.

    Attributes
    ----------
    operations : float
        In floating point.
    moved : float
        Bytes that are loaded and stored, however often they are the same.
    """

    operations: float = 0.0
    moved: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.operations + other.operations, self.moved + other.moved)

    def __mul__(self, times: float) -> "Work":
        return Work(self.operations * times, self.moved * times)


def work(function: tir.PrimFunc) -> Work:
    """The work of a call."""
    return _of(function.body)


def _of(statement: Stmt) -> Work:
    if isinstance(statement, tir.For):
        extent = statement.extent
        return _of(statement.body) * (extent.value if isinstance(extent, tir.IntImm) else math.nan)
    if isinstance(statement, tir.While):
        return Work(math.nan, math.nan)
    if isinstance(statement, tir.SeqStmt):
        return sum(map(_of, statement.seq), Work())
    if isinstance(statement, tir.IfThenElse):
        cases = [_of(s) for s in (statement.then_case, statement.else_case) if s is not None]
        return max(cases, key=lambda case: case.operations)
    if isinstance(statement, s_tir.SBlockRealize):
        return _of(statement.block.body)
    if (body := getattr(statement, "body", None)) is not None:
        return _of(body)
    return _inside(statement)


def _inside(leaf: Stmt) -> Work:
    """The work of a statement that has no statements inside."""
    operations = moved = 0

    def arithmetic(node: Expr) -> None:
        nonlocal operations
        dtype = _dtype(node)
        if dtype.type_code in _FLOATS:
            operations += dtype.lanes

    def call(node: Call) -> None:
        nonlocal operations
        if isinstance(node.op, tvm.ir.Op) and node.op.name == _FMA:
            operations += 2 * _dtype(node).lanes

    def load(node: Expr) -> None:
        nonlocal moved
        moved += _bytes(node)

    entries = [(_ONE, arithmetic), (tvm.ir.TensorLoad, load), (Call, call)]
    tvm_ffi.structural_walk(leaf, entries)
    if isinstance(leaf, tir.BufferStore):
        moved += _bytes(leaf.value)
    return Work(operations, moved)


def _dtype(node: Expr) -> tvm.DataType:
    return tvm.DataType(str(node.ty.dtype))


def _bytes(node: Expr) -> int:
    dtype = _dtype(node)
    return dtype.lanes * dtype.bits // 8
