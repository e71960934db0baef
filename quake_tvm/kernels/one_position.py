"""Attention of one position to many keys, as each step of a decoder needs it.

The rows of a block are the heads of q that share their keys. Nothing transposes the keys in memory:
the first product multiplies squares of them while their columns are in registers. So keys and
values are read once for all heads of a block, in their order. The sums have the order of the other
kernels, so that the bits do not depend on how many positions are computed at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import tvm_ffi

from ..tvm_version import alloc, tir
from . import rows
from .attention_products import Attention, Place
from .open_attention import open_rows
from .register_tile import SQUARE, over_tiles, vector_at
from .rows import Expr, Stmt


@dataclass(frozen=True)
class OnePosition(Attention):
    """Blocks whose rows are heads, at one position. See :class:`Attention`."""

    repeated = 1

    @staticmethod
    def of(op: Attention) -> "OnePosition":
        """The same attention with as many heads in a block as there are, or as a tile has rows.

        Its tiles are wider where they are less tall, so that rows of the values are read in few
        parts.
        """
        first, second = op.tiles
        height = min(op.group, second.rows)
        vectors = min(second.rows * second.vectors // height, op.width // second.lanes)
        tiles = replace(first, rows=height), replace(second, rows=height, vectors=vectors)
        return op.of_kind(OnePosition, tiles=tiles, height=height)

    def row(self, place: Place, r: int | Expr) -> Place:
        """Batch, head and position of row ``r`` of a block."""
        b, h, i = place
        return b, h + r, i

    @property
    def positions(self) -> int:
        """The positions of a block."""
        return 1

    def scores(
        self,
        place: Place,
        keys: int | Expr,
        start: Expr | int,
        transposed: tir.Buffer,
        scores: tir.Buffer,
    ) -> Stmt:
        """The first product. It does not read ``transposed``."""
        b, h, _ = place
        lane, zero = vector_at(0), tir.Broadcast(tir.const(0, "float32"), SQUARE)
        before, lines = self.key_lines(keys)
        sums = [rows.local(SQUARE) for _ in range(self.tiles[0].rows)]

        def square(j: Expr) -> Stmt:
            def part(d: Expr) -> Stmt:
                def add(columns: list[Expr]) -> list[Stmt]:
                    return [
                        tir.BufferStore(s, s[lane] + self._query(place, r, d + c) * column, [lane])
                        for c, column in enumerate(columns)
                        for r, s in enumerate(sums)
                    ]

                here = [start + j + line for line in lines]
                return self.key_square(b, h // self.group, here, d, add)

            begin = [tir.BufferStore(s, zero, [lane]) for s in sums]
            end = [
                tir.BufferStore(scores, s[lane], [tir.const(r, "int64"), vector_at(j)])
                for r, s in enumerate(sums)
            ]
            return rows.sequence(*begin, over_tiles(self.depth, SQUARE, part), *end)

        return rows.sequence(*before, *map(alloc, sums), over_tiles(keys, SQUARE, square))

    def _query(self, place: Place, r: int, d: Expr) -> Expr:
        return tir.Broadcast(self.q[self.operands[0].at(*self.row(place, r), d)], SQUARE)


def can_be_one(op: Attention) -> bool:
    """Whether there may be one position beside several keys, in a form that this kernel takes."""
    length, keys = op.length, op.keys
    if op.pairs is not None or op.bytes is not None or op.depth % SQUARE:
        return False
    if rows.fixed(length) is not None:
        return rows.fixed(length) == 1
    return not tvm_ffi.structural_equal(length, keys)


def one_position(
    op: Attention, transposed: tir.Buffer, scores: tir.Buffer
) -> tuple[list[Stmt], Callable[[Expr, Expr], Stmt]]:
    """What is done before all, and the work for a batch and a head of the keys."""
    single = OnePosition.of(op)
    prepare, block = open_rows(single, transposed, scores)

    def heads(b: Expr, h: Expr) -> Stmt:
        def some(g: Expr) -> Stmt:
            named, first = rows.once(h * op.group + g)
            return rows.sequence(*named, block((b, first, tir.const(0, "int64"))))

        return over_tiles(op.group, int(single.height), some)

    return prepare, heads
