"""The product of a part of a recurrent cell from bytes: int8 weights times quantized rows.

Before each part, every row of what it multiplies becomes bytes with a scale and a zero point of its
own. The sums are exact. Times its weights' factor and its row's scale, a sum is added to the
layer's input. A projection has no such form.
"""

import math
from dataclasses import dataclass

from ..numerics.byte_dots import Format
from ..tvm_version import fma, tir
from . import rows
from .byte_groups import quantized_row
from .prefetch import LINE, prefetch
from .recurrent_panel import Panel, Place
from .register_tile import Tile
from .rows import Expr, Row, Stmt

# Weights of each gate and unit: what a sum is multiplied by, and the sum of its weights (int32).
OF_BYTES = ("factors", "totals")


@dataclass(frozen=True)
class ByteRows:
    """The rows of a block as bytes.

    Attributes
    ----------
    form : Format
    lanes : int
        The most sums of a vector.
    groups, scales, zeros : Buffer
        As of :func:`.byte_groups.quantized_rows`.
    sums : Buffer
        The sums of bytes, int32 (row of a tile, gate * unit).
    """

    form: Format
    lanes: int
    groups: tir.Buffer
    scales: tir.Buffer
    zeros: tir.Buffer
    sums: tir.Buffer

    @staticmethod
    def of(form: Format, lanes: int, count: int, depth: int, tile: tuple[int, int]) -> "ByteRows":
        """Buffers for so many rows of at most ``depth`` elements, and for a tile of this shape."""
        return ByteRows(
            form,
            lanes,
            tir.decl_buffer((count, -(-depth // form.group)), "int32", "groups"),
            tir.decl_buffer((count,), "float32", "scales"),
            tir.decl_buffer((count,), "int32", "zeros"),
            tir.decl_buffer(tile, "int32", "integers"),
        )

    @property
    def buffers(self) -> list[tir.Buffer]:
        """All buffers."""
        return [self.groups, self.scales, self.zeros, self.sums]


@dataclass(frozen=True)
class BytePanel(Panel):
    """A panel of weights that are groups of bytes.

    Attributes
    ----------
    bytes : ByteRows
    """

    bytes: ByteRows

    def prepare(self) -> list[Stmt]:
        """Quantize all rows of what the part multiplies."""
        made, depth = self.bytes, self.block.layer.depth(self.part)
        into = made.groups, made.scales, made.zeros

        def row(r: Expr) -> Stmt:
            def load(d: Expr) -> Expr:
                return self.factor(r, d)

            def along(line: Row) -> Stmt:
                return rows.sequence(*quantized_row(made.form, depth, line, load, into, [r]))

            return rows.by_length(depth, along)

        return [rows.loop(self.block.count, row, most=1)]

    def finish(self, place: Place) -> list[Stmt]:
        """Make the sums of a row floats."""
        block, layer, made, row = self.block, self.block.layer, self.bytes, place.row

        def gate(n: int, gate: int) -> Stmt:
            first = self.begin(place, gate)
            factors, totals = (place.weight(name, gate) for name in OF_BYTES)

            def store(u: Expr) -> Stmt:
                at = [place.line, n * layer.units + u]
                exact = tir.BufferLoad(made.sums, at) - made.zeros[row] * totals(u)
                scaled = tir.Cast("float32", exact) * factors(u)
                return tir.BufferStore(block.sums, fma(scaled, made.scales[row], first(u)), at)

            return layer.vector(store)

        return [gate(n, each) for n, each in enumerate(self.part.gates)]

    def product(self, tall: int, r: Expr) -> Stmt:
        """The sums for a tile of known height that starts in row r."""
        block, layer, made = self.block, self.block.layer, self.bytes
        panel, columns = layer.panels[self.number], len(self.part.gates) * layer.units
        lanes = math.gcd(layer.units, made.lanes)
        return rows.sequence(
            rows.loop(tall, lambda k: self._fetch(r + k), most=1),
            Tile(tall, columns // lanes, lanes).product(
                int(panel.shape[2]),
                lambda k, d: made.groups[r + k, d],
                lambda d, j: panel[block.direction, self.index, d, j],
                lambda k, j, value: tir.BufferStore(made.sums, value, [k, j]),
                add=made.form.dot,
                dtype="int32",
            ),
        )

    def _fetch(self, row: Expr) -> Stmt:
        """Bring a row's input, which is read after the sums: they hide how long it takes."""
        place, lines = Place(self, row, row), range(0, self.block.layer.units, LINE // 4)
        return rows.sequence(
            *(
                prefetch(place.input(gate)(tir.const(u, "int64")))
                for gate in self.part.gates
                for u in lines
            )
        )
