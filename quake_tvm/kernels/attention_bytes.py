"""The operands of attention's two products as groups of bytes, and what scales their sums.

A row of q, a row of k and a feature of v become bytes from -127 to 127 times a scale of their own,
when the kernel runs. Weights become integers of 14 bits, whose largest stands for the row's
maximum: the two halves are bytes. So all sums are exact in int32. Knows no tile.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..numerics.byte_dots import Format
from ..numerics.exp_bits import bits, constant
from ..tvm_version import alloc, dtype_of, fma, tir
from . import rows
from .byte_groups import ROUNDING, form
from .compute import above, divisor
from .register_tile import SQUARE, over_tiles
from .rows import Expr, Row, Stmt
from .symmetric_bytes import column_scales, joined, magnitude, over_groups, over_lanes, scale_of

# The weight of a row's maximum. No sum of so many weights times 127 leaves int32 for 1,024 keys,
# the most of a block.
MOST, HALF = (1 << 14) - 1, 7


@dataclass(frozen=True)
class Bytes:
    """Quantized copies of a block of queries, of its weights, and of a head's keys and values.

    Attributes
    ----------
    form : Format
        Of the groups.
    queries : Buffer
        One row for each row of a block, as elements of groups.
    weights : tuple of Buffer
        Likewise: the high and the low halves of the weights, or in groups of 16-bit integers the
        weights themselves.
    keys : Buffer
        int32: the groups of a key's features, transposed as in :meth:`Attention.keys_first`.
    starts : Buffer or None
        int32, for each key: what a sum starts from if the queries' bytes are shifted.
    values : Buffer
        int32, flat: each group has one feature of neighbouring values.
    of_queries, of_keys, of_values : Buffer
        The scales.
    of_weights : Buffer
        For each row of a block: what a sum of weights times values is multiplied by.
    unit : Buffer
        What turns an exponential into a weight.
    depth, width : int
        The features of a query and of a value.
    """

    form: Format
    queries: tir.Buffer
    weights: tuple[tir.Buffer, ...]
    keys: tir.Buffer
    starts: tir.Buffer | None
    values: tir.Buffer
    of_queries: tir.Buffer
    of_keys: tir.Buffer
    of_values: tir.Buffer
    of_weights: tir.Buffer
    unit: tir.Buffer
    depth: int
    width: int

    @classmethod
    def of(
        cls, left: str, height: int, depth: int, line: int | Expr, most: int, keys: int | Expr,
        width: int,
    ) -> "Bytes":  # fmt: skip
        """Buffers for blocks of ``height`` rows and at most ``most`` keys.

        Parameters
        ----------
        left : str
            The dtype of the elements of groups on the left.
        height, depth, most, width : int
        line : int or Expr
            The elements between rows of the transposed keys.
        keys : int or Expr
        """
        made = form(left)
        steps, longest = -(-depth // made.group), -(-most // made.group) * made.group
        shape = (steps * line,) if rows.fixed(line) is None else (steps, line)
        halves = ("high", "low") if made.bits == 8 else ("weights",)
        return cls(
            made,
            tir.decl_buffer((height, steps * made.group), left, "queries"),
            tuple(tir.decl_buffer((height, longest), left, name) for name in halves),
            tir.decl_buffer(shape, "int32", "keys"),
            tir.decl_buffer((line,), "int32", "starts") if made.shift("int8") else None,
            tir.decl_buffer((_groups(made, keys) * width,), "int32", "values"),
            rows.local(height),
            tir.decl_buffer((line,), "float32", "of_keys"),
            tir.decl_buffer((width,), "float32", "of_values"),
            rows.local(height),
            rows.local(1),
            depth,
            width,
        )

    def allocated(self, exp: Callable[[Expr], Expr]) -> list[Stmt]:
        """Allocate all buffers. ``exp`` is largest at 0."""
        buffers = (
            self.queries, *self.weights, self.keys, self.values, self.of_queries,
            self.of_keys, self.of_values, self.of_weights, self.unit,
            *([] if self.starts is None else [self.starts]),
        )  # fmt: skip
        unit = tir.BufferStore(self.unit, constant(MOST) / exp(constant(0)), [0])
        return [*map(alloc, buffers), unit]

    @property
    def steps(self) -> int:
        """The groups of a query."""
        return int(self.queries.shape[1]) // self.form.group

    def query(self, r: Expr | int, g: Expr) -> Expr:
        """The group ``g`` of row ``r`` of the block."""
        return _group(self.form, self.queries, r, g)

    def score(self, r: Expr | int, j: Expr, total: Expr) -> Expr:
        """The score of row ``r`` and key ``j``, of which ``total`` is the sum."""
        return tir.Cast("float32", total) * self.of_keys[j] * self.of_queries[r]

    def result(self, r: Expr | int, e: Expr, total: Expr) -> Expr:
        """Feature ``e`` of row ``r``, of which ``total`` is the sum."""
        return tir.Cast("float32", total) * (self.of_values[e] * self.of_weights[r])

    def value(self, g: Expr, e: Expr) -> Expr:
        """The group ``g`` of the head's values, of which it has the feature ``e``."""
        return self.values[g * self.width + e]

    def weight(self, half: int, r: Expr | int, g: Expr) -> Expr:
        """The group ``g`` of the weights of row ``r`` of the block, or of their halves."""
        return _group(self.form, self.weights[half], r, g)

    def groups(self, count: int | Expr) -> int | Expr:
        """The groups of so many values."""
        return _groups(self.form, count)

    def quantize_query(self, r: Expr, element: rows.Value) -> Stmt:
        """Quantize one row of the block."""
        shift = self.form.shift("int8")

        def program(row: Row) -> Stmt:
            steps, top = row.reduce(
                lambda d: magnitude(element(d)), tir.max, tir.max, tir.const(0, "int32"), wide=1
            )
            keep, scale = rows.store_scalar(scale_of(top))
            more, inverse = rows.store_scalar(constant(1) / scale)

            def store(d: Expr) -> Stmt:
                integer = fma(element(d), inverse, constant(ROUNDING + shift))
                return tir.BufferStore(self.queries, self._element(bits(integer)), [r, d])

            kept = tir.BufferStore(self.of_queries, scale, [r])
            return rows.sequence(*steps, *keep, *more, kept, row.each(store))

        return rows.by_length(self.depth, program)

    def quantize_keys(
        self, keys: int | Expr, transposed: tir.Buffer, at: Callable[[Expr, Expr], list[Expr]]
    ) -> Stmt:
        """Quantize the keys of a head.

        Parameters
        ----------
        keys : int or Expr
        transposed : Buffer
            float32.
        at : callable
            The indices of (feature or group, key) in the transposed keys.
        """
        shift, starts = self.form.group_of(self.form.shift("int8")), self.starts

        def square(j: Expr) -> Stmt:
            def element(d: Expr, lane: Expr) -> Expr:
                return transposed[tuple(at(d, j + lane))]

            scan, inverse = column_scales(self.depth, SQUARE, element, self.of_keys, j)
            total = rows.local(SQUARE, "int32")

            def group(g: Expr, several: int) -> Stmt:
                def store(lane: Expr) -> Stmt:
                    made = joined(
                        self.form,
                        lambda n: element(g * self.form.group + n, lane),
                        inverse[lane],
                        several,
                    )
                    return tir.BufferStore(self.keys, made, at(g, j + lane))

                def add(lane: Expr) -> Stmt:
                    key = self.keys[tuple(at(g, j + lane))]
                    more = self.form.dot(total[lane], tir.const(shift, "int32"), key)
                    return tir.BufferStore(total, more, [lane])

                sums = [] if starts is None else [over_lanes(SQUARE, add)]
                return rows.sequence(over_lanes(SQUARE, store), *sums)

            groups = over_groups(self.form, self.depth, group)
            if starts is None:
                return rows.sequence(*scan, groups)

            def empty(lane: Expr) -> Stmt:
                return tir.BufferStore(total, tir.const(0, "int32"), [lane])

            def start(lane: Expr) -> Stmt:
                return tir.BufferStore(starts, -total[lane], [j + lane])

            return rows.sequence(
                *scan, alloc(total), over_lanes(SQUARE, empty), groups, over_lanes(SQUARE, start)
            )

        return over_tiles(keys, SQUARE, square)

    def quantize_values(self, keys: int | Expr, at: Callable[[Expr, Expr], Expr]) -> Stmt:
        """Quantize the values of a head. ``at`` takes the indices of a key and of a feature."""

        def features(row: Row) -> Stmt:
            def chunk(e: Expr) -> Stmt:
                scan, inverse = column_scales(
                    keys, row.lanes, lambda j, lane: at(j, e + lane), self.of_values, e
                )

                def group(g: Expr, several: int) -> Stmt:
                    def store(lane: Expr) -> Stmt:
                        made = joined(
                            self.form,
                            lambda n: at(g * self.form.group + n, e + lane),
                            inverse[lane],
                            several,
                        )
                        return tir.BufferStore(self.values, made, [g * self.width + e + lane])

                    return over_lanes(row.lanes, store)

                return rows.sequence(*scan, over_groups(self.form, keys, group))

            return over_tiles(self.width, row.lanes, chunk)

        return rows.by_length(self.width, features)

    def weigh(
        self, row: Row, r: Expr, value: rows.Value, exp: Callable[[Expr], Expr], empty: float | None
    ) -> list[Stmt]:
        """The weights of a whole row of logits. They are divided by their sum in the result."""
        steps, top = rows.maximum(row, value)
        if empty is not None:
            more, top = rows.store_scalar(above(top))
            steps = [*steps, *more]
        integers, lanes = rows.local(row.lanes), rows.local(row.lanes)

        def one(lane: Expr) -> Expr:
            return integers[lane] - constant(ROUNDING)

        def add(lane: Expr, element: Expr) -> Stmt:
            return tir.BufferStore(lanes, lanes[lane] + element, [lane])

        def keep(i: Expr, lane: Expr) -> Stmt:
            integer = fma(exp(value(i) - top), self.unit[0], constant(ROUNDING))
            return tir.BufferStore(integers, integer, [lane])

        def chunk(c: Expr) -> Stmt:
            at = c * row.lanes
            return rows.sequence(
                row.vector(lambda n: keep(at + n, n)),
                row.vector(lambda n: add(n, one(n))),
                row.vector(lambda n: store(at + n, n)),
            )

        def unseen(_: Expr, n: Expr) -> Stmt:
            return add(n, tir.Select(row.new_in_tail(n), one(n), constant(0)))

        def store(i: Expr, lane: Expr) -> Stmt:
            return self._store(r, i, integers[lane])

        sums, whole = row.halve(lanes, row.lanes, lambda a, b: a + b)
        total = whole if empty is None else divisor(whole)
        return [
            *steps,
            *map(alloc, (integers, lanes)),
            row.vector(lambda n: tir.BufferStore(lanes, constant(0), [n])),
            rows.loop(row.chunks, chunk),
            *(step for body in (keep, unseen, store) for step in row.tail(body)),
            *sums,
            tir.BufferStore(self.of_weights, constant(1) / total, [r]),
        ]

    def round_weights(self, row: Row, r: Expr, weights: tir.Buffer) -> list[Stmt]:
        """The weights of a row from its exponentials, whose sum is known to the caller."""

        def store(i: Expr) -> Stmt:
            return self._store(r, i, fma(weights[r, i], self.unit[0], constant(ROUNDING)))

        return [row.each(store), tir.BufferStore(self.of_weights, constant(1) / self.unit[0], [r])]

    def _store(self, r: Expr, i: Expr, rounded: Expr) -> Stmt:
        """Store a rounded weight, or both halves of it."""
        # In front of the weight's bits there are so many zeros that elements need no mask.
        weight, elements = bits(rounded), [bits(rounded)]
        if self.form.bits == 8:
            low = weight & tir.const((1 << HALF) - 1, "int32")
            elements = [weight >> tir.const(HALF, "int32"), low]
        stores = (
            tir.BufferStore(into, self._element(element), [r, i])
            for into, element in zip(self.weights, elements, strict=True)
        )
        return rows.sequence(*stores)

    def _element(self, integer: Expr) -> Expr:
        return tir.Cast(self.form.left, integer)


def _groups(made: Format, count: int | Expr) -> int | Expr:
    return (count + made.group - 1) // made.group


def _group(made: Format, elements: tir.Buffer, r: Expr | int, g: Expr) -> Expr:
    first = tir.Ramp(g * made.group, tir.const(1, dtype_of(g)), made.group)
    return tir.reinterpret("int32", tir.BufferLoad(elements, [r, first]))
