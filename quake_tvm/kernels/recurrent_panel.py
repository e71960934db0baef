"""A part of a recurrent cell for the units of one panel at one step: the product and the program.

Knows the places of all operands, and no formula.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..numerics.exp_bits import constant
from ..tvm_version import alloc, tir
from . import rows
from .recurrent_cells import Cell, Part, Value
from .register_tile import Tile, over_tiles
from .rows import Expr, Stmt


@dataclass(frozen=True)
class Layer:
    """Sizes and buffers of a layer.

    Attributes
    ----------
    cell : Cell
    length, batch : int or Expr
    widths : list of int
        The units of each state.
    units : int
        Units of a panel.
    x : Buffer
        (step, row, direction * gate * unit), or (row, step, ..) if ``batch_first``.
    panels : list of Buffer
        For each part (direction, panel, state, gate * unit).
    weights : mapping of str to Buffer
        (direction, gate * unit).
    before, after : list of Buffer
        The states (direction, row, unit) before the first and after the last step.
    lengths : Buffer or None
        The steps of each row, int32.
    y : Buffer
        (step, row, direction, unit), or (row, step, ..) if ``batch_first``.
    reverse : tuple of bool
        For each direction, whether it begins with the last step.
    batch_first : bool
    """

    cell: Cell
    length: int | Expr
    batch: int | Expr
    widths: Sequence[int]
    units: int
    x: tir.Buffer
    panels: Sequence[tir.Buffer]
    weights: dict[str, tir.Buffer]
    before: Sequence[tir.Buffer]
    after: Sequence[tir.Buffer]
    lengths: tir.Buffer | None
    y: tir.Buffer
    reverse: tuple[bool, ...]
    batch_first: bool

    @property
    def hidden(self) -> int:
        """The units of a gate, and of the last state."""
        return self.widths[-1]

    def vector(self, body: Callable[[Expr], Stmt]) -> Stmt:
        """A vectorized loop over the units of a panel."""
        return rows.loop(self.units, body, tir.ForKind.VECTORIZED)

    def depth(self, part: Part) -> int:
        """The elements of what a part multiplies."""
        return self.widths[0] if part.of is None else self.hidden

    def at(self, step: Expr, row: Expr) -> tuple[Expr, Expr]:
        """The first two indices of x and y."""
        return (row, step) if self.batch_first else (step, row)


@dataclass(frozen=True)
class Block:
    """A block of rows in one direction.

    Attributes
    ----------
    layer : Layer
    direction, first : Expr
        The direction, and the first row.
    count, most : int or Expr, int
        The rows, and the most that there may be.
    tile : int or Expr
        The rows of a tile.
    tiles : list of int
        The heights of a tile that the kernel has code for, the largest first.
    states, kept : list of Buffer
        (2, most, unit) and (most, unit).
    sums : Buffer
        (row of a tile, gate * unit).
    """

    layer: Layer
    direction: Expr
    first: Expr
    count: int | Expr
    tile: int | Expr
    tiles: list[int]
    states: list[tir.Buffer]
    kept: list[tir.Buffer]
    sums: tir.Buffer


@dataclass(frozen=True)
class Panel:
    """A panel of a part's weights at one step.

    Attributes
    ----------
    block : Block
    number : int
        The part's number.
    part : Part
    t, now : Expr
        The number of the step, and the step of the layer's input.
    index, unit : Expr
        The panel's number and its first unit.
    """

    block: Block
    number: int
    part: Part
    t: Expr
    now: Expr
    index: Expr
    unit: Expr

    def prepare(self) -> list[Stmt]:
        """What must be done before any panel of the part is computed."""
        return []

    def finish(self, place: "Place") -> list[Stmt]:
        """What must be done with the sums of a row before the part's program."""
        return []

    def all_rows(self) -> Stmt:
        """The part for all rows of the block, tile by tile."""
        tall = self.block.tile

        def tile(r: Expr) -> Stmt:
            def row(k: Expr) -> Stmt:
                place = Place(self, r + k, k)
                return rows.sequence(*self.finish(place), *self.part.program(place))

            return rows.sequence(self._products(r), rows.loop(tall, row, most=1))

        return over_tiles(self.block.count, tall, tile)

    def _products(self, r: Expr) -> Stmt:
        """The sums for a tile that starts in row r, of each height that it may have."""
        *larger, least = self.block.tiles
        chosen = self.product(least, r)
        for tall in reversed(larger):
            chosen = tir.IfThenElse(self.block.tile == tall, self.product(tall, r), chosen)
        return chosen

    def begin(self, place: "Place", gate: int) -> Value:
        """What the sum of one of the part's gates starts with."""
        started = self.part.from_input[self.part.gates.index(gate)]
        return place.input(gate) if started else lambda _: constant(0)

    def factor(self, row: Expr, d: Expr) -> Expr:
        """Elements of what the part multiplies, in a row of the block."""
        if self.part.of is not None:
            return tir.BufferLoad(self.block.kept[self.part.of], [row, d])
        return tir.BufferLoad(self.block.states[0], [self.t % 2, row, d])

    def product(self, tall: int, r: Expr) -> Stmt:
        """The sums for a tile of known height that starts in row r."""
        block, layer, part = self.block, self.block.layer, self.part

        def start(k: int, g: int) -> Stmt:
            place = Place(self, r + k, tir.const(k, "int64"))
            first = self.begin(place, part.gates[g])
            return layer.vector(
                lambda u: tir.BufferStore(block.sums, first(u), [k, g * layer.units + u])
            )

        return rows.sequence(
            *(start(k, g) for k in range(tall) for g in range(len(part.gates))),
            Tile(tall, len(part.gates), layer.units).product(
                int(layer.panels[self.number].shape[2]),
                lambda k, d: self.factor(r + k, d),
                lambda d, j: layer.panels[self.number][block.direction, self.index, d, j],
                lambda k, j, value: tir.BufferStore(block.sums, value, [k, j]),
                lambda k, j: block.sums[k, j],
            ),
        )


@dataclass(frozen=True)
class Place:
    """The units of a panel in one row at one step: :class:`.recurrent_cells.Units`.

    Attributes
    ----------
    panel : Panel
    row : Expr
        The row in the block.
    line : Expr
        The row in the tile.
    """

    panel: Panel
    row: Expr
    line: Expr

    @property
    def block(self) -> Block:
        """The panel's block."""
        return self.panel.block

    def sum(self, gate: int) -> Value:
        """One of the part's sums."""
        units, place = self.block.layer.units, self.panel.part.gates.index(gate)
        return lambda u: self.block.sums[self.line, place * units + u]

    def input(self, gate: int) -> Value:
        """An element of x for each unit."""
        layer = self.block.layer
        number = self.block.direction * layer.cell.gates + gate
        at = layer.at(self.panel.now, self.block.first + self.row)
        return lambda u: layer.x[(*at, number * layer.hidden + (self.panel.unit + u))]

    def state(self, number: int) -> Value:
        """A state before the step."""
        return lambda u: self.block.states[number][self.panel.t % 2, self.row, self.panel.unit + u]

    def kept(self, number: int) -> Value:
        """What an earlier part has kept."""
        return lambda u: self.block.kept[number][self.row, self.panel.unit + u]

    def weight(self, name: str, gate: int) -> Value:
        """A weight for each unit."""
        layer = self.block.layer
        first = gate * layer.hidden + self.panel.unit
        return lambda u: layer.weights[name][self.block.direction, first + u]

    def once(self, value: Value) -> tuple[list[Stmt], Value]:
        """Compute a vector once."""
        layer = self.block.layer
        where = rows.local(layer.units)
        store = layer.vector(lambda u: tir.BufferStore(where, value(u), [u]))
        return [alloc(where), store], lambda u: where[u]

    def keep(self, number: int, value: Value) -> list[Stmt]:
        """Keep a vector for a later part."""
        into = self.block.kept[number]
        return [
            self.block.layer.vector(
                lambda u: tir.BufferStore(into, value(u), [self.row, self.panel.unit + u])
            )
        ]

    def step(self, number: int, value: Value) -> list[Stmt]:
        """Give a state its value after the step. The first state is the layer's result.

        In rows that have ended the state stays, and the result is 0.
        """
        layer, into = self.block.layer, self.block.states[number]
        steps, new = self.once(value)

        def within(u: Expr, other: Expr) -> Expr:
            if layer.lengths is None:
                return new(u)
            steps_of_row = layer.lengths[self.block.first + self.row]
            inside = self.panel.now < tir.Cast("int64", steps_of_row)
            return tir.Select(inside, new(u), other)

        def store(u: Expr) -> Stmt:
            kept = within(u, self.state(number)(u))
            return tir.BufferStore(
                into, kept, [(self.panel.t + 1) % 2, self.row, self.panel.unit + u]
            )

        def result(u: Expr) -> Stmt:
            step = layer.at(self.panel.now, self.block.first + self.row)
            at = [*step, self.block.direction, self.panel.unit + u]
            return tir.BufferStore(layer.y, within(u, constant(0)), at)

        return [*steps, layer.vector(store), *([layer.vector(result)] if number == 0 else [])]
