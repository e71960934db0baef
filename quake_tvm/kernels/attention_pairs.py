"""The operands of attention's two products as pairs of bfloat16 numbers.

Knows how they are rounded and read, not in which tiles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..numerics.bfloat16_pairs import joined, narrowed, pair
from ..numerics.exp_bits import constant
from ..tvm_version import alloc, tir
from . import rows
from .rows import Expr, Stmt


@dataclass(frozen=True)
class Pairs:
    """Rounded copies of a block of queries, of its weights, and of the values of a head.

    Attributes
    ----------
    queries, weights : Buffer
        uint16, one row for each row of a block. Their rows have an even number of elements.
    values : Buffer
        int32, flat: each pair has one feature of two neighbouring values.
    width : int
        The features of a value.
    """

    queries: tir.Buffer
    weights: tir.Buffer
    values: tir.Buffer
    width: int

    @classmethod
    def of(cls, height: int, depth: int, most: int, keys: int | Expr, width: int) -> "Pairs":
        """Buffers for blocks of ``height`` rows and at most ``most`` keys."""
        return cls(
            tir.decl_buffer((height, depth), "uint16", "queries"),
            tir.decl_buffer((height, (most + 1) // 2 * 2), "uint16", "weights"),
            tir.decl_buffer(((keys + 1) // 2 * width,), "int32", "values"),
            width,
        )

    def allocated(self) -> list[Stmt]:
        return [alloc(b) for b in (self.queries, self.weights, self.values)]

    def query(self, r: Expr | int, d: Expr) -> Expr:
        """The pair ``d`` of the features of row ``r`` of the block."""
        return pair(self.queries[r, 2 * d], self.queries[r, 2 * d + 1])

    def weight(self, r: Expr | int, j: Expr) -> Expr:
        """The pair ``j`` of the weights of row ``r`` of the block."""
        return pair(self.weights[r, 2 * j], self.weights[r, 2 * j + 1])

    def value(self, j: Expr, e: Expr) -> Expr:
        """The pair ``j`` of the head's values, of which it has the feature ``e``."""
        return self.values[j * self.width + e]

    def round_query(self, r: Expr, depth: int, element: rows.Value) -> Stmt:
        """Round the features of one row."""

        def store(d: Expr) -> Stmt:
            return tir.BufferStore(self.queries, narrowed(element(d)), [r, d])

        return rows.by_length(depth, lambda row: row.each(store))

    def round_weights(self, r: Expr, keys: int | Expr, weights: tir.Buffer) -> Stmt:
        """Round the weights of one row. A last one without a neighbour gets a zero."""

        def store(j: Expr) -> Stmt:
            return tir.BufferStore(self.weights, narrowed(weights[r, j]), [r, j])

        each = rows.by_length(keys, lambda row: row.each(store))
        end = tir.BufferStore(self.weights, tir.const(0, "uint16"), [r, keys])
        return rows.sequence(each, *_if_odd(keys, end))

    def round_values(self, keys: int | Expr, at: Callable[[Expr, Expr], Expr]) -> Stmt:
        """Round the values of a head. ``at`` takes the indices of a key and of a feature."""

        def line(j: Expr, odd: rows.Value) -> Stmt:
            def store(e: Expr) -> Stmt:
                both = joined(narrowed(at(2 * j, e)), narrowed(odd(e)))
                return tir.BufferStore(self.values, both, [j * self.width + e])

            return rows.by_length(self.width, lambda row: row.each(store))

        whole = rows.loop(keys // 2, lambda j: line(j, lambda e: at(2 * j + 1, e)), most=1)
        return rows.sequence(whole, *_if_odd(keys, line(keys // 2, lambda _: constant(0))))


def paired_columns(columns: Sequence[Expr]) -> list[Expr]:
    """Each two neighbours of vectors of float32, rounded and joined."""
    halves = [narrowed(column) for column in columns]
    return [joined(even, odd) for even, odd in zip(halves[::2], halves[1::2], strict=True)]


def _if_odd(count: int | Expr, stmt: Stmt) -> list[Stmt]:
    known = rows.fixed(count)
    if known is None:
        return [tir.IfThenElse(count % 2 == 1, stmt, None)]
    return [stmt] if known % 2 else []
