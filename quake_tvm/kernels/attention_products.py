"""The two matrix products of attention and the places of their operands, as statements.

Knows how the products read and write, not what happens to the scores between them.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from ..numerics.bfloat16_pairs import dot
from ..tvm_version import tir
from . import rows
from .attention_byte_products import byte_scores, byte_values
from .attention_bytes import Bytes
from .attention_pairs import Pairs, paired_columns
from .compute import logits, softmax_row
from .register_tile import SQUARE, Tile, over_tiles, transpose, vector_at
from .rows import Expr, Row, Stmt, least
from .visible_keys import VisibleKeys

Kind = TypeVar("Kind", bound="Attention")
# Batch, head and first row of a block of rows.
Place = tuple[Expr, Expr, Expr]


@dataclass(frozen=True)
class Operand:
    """The position of an element (batch, head, position, feature) in a tensor.

    Attributes
    ----------
    axes : tuple of int
        Axis k of these four is axis ``axes[k]`` of the tensor.
    """

    axes: tuple[int, ...] = (0, 1, 2, 3)

    def at(self, *place: Expr) -> tuple[Expr, ...]:
        """The tensor's indices of an element (batch, head, position, feature)."""
        index: list[Expr] = [None] * len(place)
        for axis, value in zip(self.axes, place, strict=True):
            index[axis] = value
        return tuple(index)

    def sizes(self, shape: Sequence[int | Expr]) -> list[int | Expr]:
        """The four extents (batch, head, position, feature) of a tensor of this shape."""
        extents = (shape[axis] for axis in self.axes)
        return [n if rows.fixed(n) is None else rows.fixed(n) for n in extents]


def operands(axes: Sequence[int]) -> tuple[Operand, Operand, Operand, Operand]:
    """The operands q, k, v and output from a flat list of 16 axes."""
    q, k, v, output = (Operand(tuple(axes[n : n + 4])) for n in range(0, 16, 4))
    return q, k, v, output


@dataclass(frozen=True)
class Attention:
    """Sizes, formulas and buffers that every part of the kernel needs.

    A block has as many rows as the tiles. :class:`~.open_attention.OpenAttention` has others too.
    """

    operands: tuple[Operand, Operand, Operand, Operand]
    tiles: tuple[Tile, Tile]
    length: int | Expr
    depth: int
    keys: int | Expr
    width: int
    height: int | Expr  # the rows of a block
    line: int | Expr  # the elements between rows of the transposed keys
    scale: float
    exp: Callable[[Expr], Expr]
    rescale: Callable[[Expr], Expr]
    empty: float | None
    q: tir.Buffer
    k: tir.Buffer
    v: tir.Buffer
    masks: list[tir.Buffer]
    out: tir.Buffer
    group: int = 1  # heads of q for each head of k and v
    visible: VisibleKeys | None = None  # None: every row sees all keys
    pairs: Pairs | None = None  # of bfloat16 numbers, if the products take such
    bytes: Bytes | None = None  # if the products take bytes

    # The most rows of a block for which a program is repeated instead of run in a loop.
    repeated: ClassVar[int] = rows.SHORT

    def of_kind(self, kind: type[Kind], **changes: Any) -> Kind:
        """The same with blocks of another kind, and with these fields changed."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return kind(**fields | changes)

    def each_row(self, program: Callable[[Expr], list[Stmt]]) -> Stmt:
        """The statements of a program for every row of a block."""
        return rows.loop(self.height, lambda r: rows.sequence(*program(r)), most=self.repeated)

    def keys_first(self, b: Expr, h: Expr, keys: int | Expr, transposed: tir.Buffer) -> Stmt:
        """Write the first ``keys`` of k of one of its heads, transposed to (feature, key).

        If they do not fill a square, the last one is written several times.
        """
        before, lines = self.key_lines(keys)

        def square(j: Expr, d: Expr) -> Stmt:
            def store(columns: list[Expr]) -> list[Stmt]:
                first = d
                if self.pairs is not None:
                    columns, first = paired_columns(columns), d // 2
                return [
                    tir.BufferStore(transposed, column, self.key_at(first + c, j, vector_at))
                    for c, column in enumerate(columns)
                ]

            return self.key_square(b, h, [j + line for line in lines], d, store)

        squares = over_tiles(
            keys, SQUARE, lambda j: over_tiles(self.depth, SQUARE, lambda d: square(j, d))
        )
        return rows.sequence(*before, squares)

    def key_lines(self, keys: int | Expr) -> tuple[list[Stmt], list[Expr]]:
        """The keys of a square from its first one on, and the statements before all loops.

        The first square starts at key 0 if there are fewer keys; the last one fills it up.
        """
        if (rows.fixed(self.keys) or 0) >= SQUARE:
            return [], [tir.const(r, "int64") for r in range(SQUARE)]
        lines = [rows.once(least(tir.const(r, "int64"), keys - 1)) for r in range(SQUARE)]
        return [step for steps, _ in lines for step in steps], [line for _, line in lines]

    def key_square(
        self, b: Expr, h: Expr, keys: list[Expr], d: Expr, use: Callable[[list[Expr]], list[Stmt]]
    ) -> Stmt:
        """``use(columns)`` of these keys of one of k's heads, from the feature ``d`` on."""

        def line(r: int) -> Expr:
            return tir.BufferLoad(self.k, list(self.operands[1].at(b, h, keys[r], vector_at(d))))

        return transpose(line, use)

    def row(self, place: Place, r: int | Expr) -> Place:
        """Batch, head and position of row ``r`` of a block."""
        b, h, i = place
        return b, h, i + r

    @property
    def positions(self) -> int | Expr:
        """The positions of a block."""
        return self.height

    def key_at(self, d: Expr, j: Expr, several: Callable[[Expr], Expr] = lambda j: j) -> list[Expr]:
        """The indices in the transposed keys of one element, or of ``several`` from this one.

        The buffer is flat if only the run knows its lines, since TVM may allocate it before they
        have a name.
        """
        if rows.fixed(self.line) is None:
            # TVM knows no sign of a number in memory. It would guess both for every access, and
            # compile for half a minute.
            line = tir.max(self.line, tir.const(0, "int64"))
            return [several(d * line + j)]
        return [d, several(j)]

    def scores(
        self,
        place: Place,
        keys: int | Expr,
        start: Expr | int,
        transposed: tir.Buffer,
        scores: tir.Buffer,
    ) -> Stmt:
        """The first product for a block of rows, and for ``keys`` keys starting at ``start``."""
        tile = self.tiles[0].within(keys)

        def one(first: Expr) -> Stmt:
            return self.scores_tile(tile, place, first, start, transposed, scores)

        return over_tiles(keys, tile.columns, one)

    def scores_tile(
        self,
        tile: Tile,
        place: Place,
        first: Expr,
        start: Expr | int,
        transposed: tir.Buffer,
        scores: tir.Buffer,
    ) -> Stmt:
        """A tile of the first product, from the column ``first`` of the scores."""

        def key(d: Expr, j: Expr) -> Expr:
            return transposed[tuple(self.key_at(d, start + first + j))]

        def store(r: int, j: Expr, s: Expr) -> Stmt:
            return tir.BufferStore(scores, s, [r, first + j])

        if self.pairs is not None:
            return tile.product(self.depth // 2, self.pairs.query, key, store, add=dot)
        if self.bytes is not None:
            return byte_scores(self.bytes, tile, self.key_at, start + first, store)
        return tile.product(
            self.depth,
            lambda r, d: self.q[self.operands[0].at(*self.row(place, r), d)],
            key,
            store,
        )

    def weights(self, place: Place, row: Row, r: Expr, scores: tir.Buffer) -> list[Stmt]:
        """The weights of a whole row of scores."""
        known, value = self.logits(place, r, 0, scores)
        if self.bytes is not None:
            return [*known, *self.bytes.weigh(row, r, value, self.exp, self.empty)]
        return [*known, *softmax_row(row, value, self.exp, scores, (r,), self.empty)]

    def values(
        self,
        place: Place,
        keys: int | Expr,
        start: Expr | int,
        weights: tir.Buffer,
        store: Callable[[int, Expr, Expr], Stmt],
        before: Callable[[int, Expr], Expr] | None = None,
        after_first: bool | Expr = True,
    ) -> Stmt:
        """The second product for a block of rows.

        ``before`` gives the sums' initial values where ``after_first`` holds.
        """
        return rows.sequence(
            *self.rounded_weights(keys, weights),
            self.value_tiles(place, keys, start, weights, store, before, after_first),
        )

    def value_tiles(
        self,
        place: Place,
        keys: int | Expr,
        start: Expr | int,
        weights: tir.Buffer,
        store: Callable[[int, Expr, Expr], Stmt],
        before: Callable[[int, Expr], Expr] | None,
        after_first: bool | Expr,
    ) -> Stmt:
        """All tiles of the second product. See :meth:`values`."""
        b, h, _ = place
        of_v = h // self.group
        tile, pairs = self.tiles[1], self.pairs

        def one(first: Expr) -> Stmt:
            def stored(r: int, e: Expr, s: Expr) -> Stmt:
                return store(r, first + e, s)

            begin = None if before is None else lambda r, e: before(r, first + e)
            if self.bytes is not None:
                return byte_values(self.bytes, tile, keys, start, first, stored, begin, after_first)
            if pairs is not None:
                return tile.product(
                    (keys + 1) // 2,
                    pairs.weight,
                    lambda j, e: pairs.value(start // 2 + j, first + e),
                    stored,
                    begin,
                    after_first,
                    dot,
                )
            return tile.product(
                keys,
                lambda r, j: weights[r, j],
                lambda j, e: self.v[self.operands[2].at(b, of_v, start + j, first + e)],
                stored,
                begin,
                after_first,
            )

        return over_tiles(self.width, tile.columns, one)

    def rounded_queries(self, place: Place) -> list[Stmt]:
        """What the first product needs of a block of rows."""
        pairs, of_bytes = self.pairs, self.bytes

        def row(r: Expr) -> list[Stmt]:
            def element(d: Expr) -> Expr:
                return self.q[self.operands[0].at(*self.row(place, r), d)]

            rounded = [] if pairs is None else [pairs.round_query(r, self.depth, element)]
            return rounded if of_bytes is None else [of_bytes.quantize_query(r, element)]

        return [] if pairs is None and of_bytes is None else [self.each_row(row)]

    def rounded_weights(self, keys: int | Expr, weights: tir.Buffer) -> list[Stmt]:
        """What the second product needs of a block's weights."""
        pairs = self.pairs
        if pairs is None:
            return []
        return [self.each_row(lambda r: [pairs.round_weights(r, keys, weights)])]

    def rounded_part(self, row: Row, r: Expr, weights: tir.Buffer) -> list[Stmt]:
        """What the second product needs of one row's exponentials of a block of keys."""
        return [] if self.bytes is None else self.bytes.round_weights(row, r, weights)

    def rounded_head(self, b: Expr, h: Expr, transposed: tir.Buffer) -> list[Stmt]:
        """What the products need of the keys and values of one head."""

        def value(j: Expr, e: Expr) -> Expr:
            return self.v[self.operands[2].at(b, h, j, e)]

        if self.bytes is not None:
            keys = self.bytes.quantize_keys(self.keys, transposed, self.key_at)
            return [keys, self.bytes.quantize_values(self.keys, value)]
        return [] if self.pairs is None else [self.pairs.round_values(self.keys, value)]

    def logits(
        self, place: Place, r: int | Expr, start: Expr | int, scores: tir.Buffer
    ) -> tuple[list[Stmt], Callable[[Expr], Expr]]:
        """The scaled and masked scores of row ``r`` of the block, and the statements before."""
        r = r if rows.fixed(r) is None else rows.fixed(r)
        b, h, i = self.row(place, r)
        value = logits([scores, *self.masks], self.scale, (r,), (b, h, i), start)
        return ([], value) if self.visible is None else self.visible.masked(i, start, value)

    def write(self, place: Place, r: int | Expr, e: Expr, value: Expr) -> Stmt:
        """Store one element of the result."""
        return tir.BufferStore(self.out, value, list(self.operands[3].at(*self.row(place, r), e)))
