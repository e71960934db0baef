"""A recurrent layer as one kernel: a loop over the steps, in it a product and the cell.

The product of all steps' inputs with the layer's weights is an operand. A step multiplies the state
before it by the recurrent weights. These are packed in panels: a panel has the weights of all gates
for ``units`` neighbouring units, so that the sums of a unit's gates are ready together. A sum
starts with the input's product and takes the state's elements in ascending order. So its bits
depend on no tile, and on no size but the layer's own.

States are kept twice, before and after the step, since every unit reads all of the state before
it. Every other step takes the panels in the opposite order: those that were last are still in a
cache. If the units are no multiple of a panel's, the last panel overlaps the one before: its first
units are computed twice, to the same bits. A state that is projected has units of its own number.
Directions and blocks of rows run on several cores.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tvm import te

from ..tvm_version import alloc, tir
from . import byte_groups, rows
from .open_attention import height, heights
from .recurrent_bytes import OF_BYTES, BytePanel, ByteRows
from .recurrent_cells import Part, cell
from .recurrent_panel import Block, Layer, Panel
from .rows import Expr, Row, Stmt

# Below this many multiply-adds a kernel ends before a second thread has started.
PARALLEL_PRODUCTS = 1 << 20


def recurrent(
    *tensors: te.Tensor,
    kind: str,
    functions: Sequence[Sequence[Any]],
    reverse: Sequence[bool],
    tile: int,
    units: int,
    block: int,
    lengths: bool = False,
    batch_first: bool = False,
    left: str | None = None,
    lanes: int = rows.LANES,
    parallel: int | None = None,
    **options: Any,
) -> list[te.Tensor]:
    """All steps of a recurrent layer; dtypes are float32 where nothing else is said.

    Parameters
    ----------
    *tensors : te.Tensor
        x of shape (step, row, direction * gate * unit): the input's product with the weights, and
        the biases; for each part of the cell its packed weights (direction, panel, unit of what it
        multiplies, gate * unit of the panel), or the groups of these units if they are bytes
        (int32); what bytes are multiplied by, and their sums (int32), both (direction,
        gate * unit); each of the cell's further weights (direction, gate * unit); its states
        (direction, row, unit); the number of steps of each row (int32), if there is one.
    kind, functions, **options
        Those of :func:`.recurrent_cells.cell`.
    reverse : sequence of bool
        For each direction, whether it begins with the last step.
    tile, units, block : int
        The rows of a register tile, the units of a panel, and the most rows that one thread
        computes.
    lengths : bool
        Whether the last tensor is the number of steps of each row.
    batch_first : bool
        Whether x and the result have rows before steps.
    left : str, optional
        The dtype of the left operand's elements in a product of groups of bytes. Without it the
        weights are float32.
    lanes : int
        The sums of a vector in such a product.
    parallel : bool, optional
        Whether to use several cores; by default if there is enough to do.

    Returns
    -------
    list of te.Tensor
        The result (step, row, direction, unit), 0 in rows that have ended; the states after the
        last step (direction, row, unit).
    """
    made = cell(kind, functions, **options)
    x, rest = tensors[0], list(tensors[1:])
    panels = [rest.pop(0) for _ in made.parts]
    names = [*(() if left is None else OF_BYTES), *(name for name, _ in made.weights)]
    states = rest[len(names) :][: made.states]
    in_bytes = None if left is None else partial(ByteRows.of, byte_groups.form(left), lanes)
    directions, batch, result = states[0].shape
    directions, widths = int(directions), [int(state.shape[2]) for state in states]
    batch = batch if rows.fixed(batch) is None else rows.fixed(batch)
    length = x.shape[1 if batch_first else 0]
    length = length if rows.fixed(length) is None else rows.fixed(length)
    outer = (batch, length) if batch_first else (length, batch)

    def body(inputs: list[tir.Buffer], outputs: list[tir.Buffer]) -> Stmt:
        given = inputs[1:]
        layer = Layer(
            made, length, batch, widths, units, inputs[0],
            [given.pop(0) for _ in panels],
            {name: given.pop(0) for name in names},
            [given.pop(0) for _ in states],
            outputs[1:],
            given.pop(0) if lengths else None,
            outputs[0], tuple(map(bool, reverse)), batch_first,
        )  # fmt: skip
        return _over_blocks(layer, directions, tile, block, parallel, in_bytes)

    return te.extern(
        [(*outer, directions, result), *(state.shape for state in states)],
        list(tensors),
        lambda ins, outs: body(list(ins), list(outs)),
        name="quake_recurrent",
        dtype=["float32"] * (1 + len(states)),
    )


def _over_blocks(
    layer: Layer,
    directions: int,
    tile: int,
    most: int,
    parallel: int | None,
    in_bytes: Callable[..., ByteRows] | None,
) -> Stmt:
    """Every block of rows in every direction. ``in_bytes`` makes the buffers of quantized rows."""
    if rows.fixed(layer.batch) == 0:
        return tir.Evaluate(0)
    known = rows.fixed(layer.batch)
    most = most if known is None else min(most, known)
    tile = min(tile, most)
    count = tir.min(layer.batch, most) if known is None else most
    blocks = (layer.batch + most - 1) // most
    many, (steps, tall) = rows.once(count), rows.once(height(layer.batch, tile))

    def one(n: Expr, count: int | Expr, tall: int | Expr) -> Stmt:
        direction = n // blocks
        first = tir.min(n % blocks * most, layer.batch - count)
        states = [tir.decl_buffer((2, most, n), "float32", "state") for n in layer.widths]
        kept = [
            tir.decl_buffer((most, layer.hidden), "float32", "kept")
            for _ in range(layer.cell.keeps)
        ]
        widest = max(len(part.gates) for part in layer.cell.parts)
        sums = tir.decl_buffer((tile, widest * layer.units), "float32", "sums")
        buffers = [*states, *kept, sums]
        make: Callable[..., Panel] = Panel
        if in_bytes is not None:
            deepest = max(map(layer.depth, layer.cell.parts))
            made = in_bytes(most, deepest, (tile, widest * layer.units))
            make = partial(BytePanel, bytes=made)
            buffers.extend(made.buffers)
        block = Block(
            layer, direction, first, count, tall, heights(layer.batch, tile), states, kept, sums
        )
        return rows.sequence(*map(alloc, buffers), _steps(block, make))

    def run(kind: int) -> Stmt:
        return rows.loop(directions * blocks, lambda n: one(n, many[1], tall), kind, most=1)

    serial, threads = tir.ForKind.SERIAL, tir.ForKind.PARALLEL
    products = layer.cell.gates * layer.hidden * layer.widths[0] * directions
    work = layer.length * layer.batch * products
    if parallel is not None:
        chosen = run(threads if parallel else serial)
    elif isinstance(work, int):
        chosen = run(threads if work >= PARALLEL_PRODUCTS else serial)
    else:
        chosen = tir.IfThenElse(work >= PARALLEL_PRODUCTS, run(threads), run(serial))
    return rows.sequence(*many[0], *steps, chosen)


def _steps(block: Block, make: Callable[..., Panel]) -> Stmt:
    """All steps of a block."""
    layer, last = block.layer, block.layer.length % 2

    def begin(s: int, r: Expr, u: Expr) -> Stmt:
        first = layer.before[s][block.direction, block.first + r, u]
        return tir.BufferStore(block.states[s], first, [tir.const(0, "int64"), r, u])

    def end(s: int, r: Expr, u: Expr) -> Stmt:
        at = [block.direction, block.first + r, u]
        return tir.BufferStore(layer.after[s], block.states[s][last, r, u], at)

    steps = rows.loop(layer.length, lambda t: _step(block, t, make), most=1)
    return rows.sequence(_each_element(block, begin), steps, _each_element(block, end))


def _each_element(block: Block, store: Callable[[int, Expr, Expr], Stmt]) -> Stmt:
    """Run ``store(state, row, unit)`` for every element of the states."""

    def line(s: int, r: Expr) -> Stmt:
        def along(row: Row) -> Stmt:
            return row.each(lambda u: store(s, r, u))

        return rows.by_length(block.layer.widths[s], along)

    def state(s: int) -> Stmt:
        return rows.loop(block.count, lambda r: line(s, r), most=1)

    return rows.sequence(*map(state, range(block.layer.cell.states)))


def _step(block: Block, t: Expr, make: Callable[..., Panel]) -> Stmt:
    layer, zero = block.layer, tir.const(0, "int64")
    backwards = layer.length - 1 - t
    step = backwards if layer.reverse[0] else t
    if len(set(layer.reverse)) == 2:
        step = tir.Select(block.direction == int(layer.reverse[1]), backwards, t)
    known, now = rows.once(step)

    def part(number: int, part: Part) -> Stmt:
        count = int(layer.panels[number].shape[1])

        def panel(n: Expr) -> Stmt:
            p = tir.Select(t % 2 == 0, n, count - 1 - n)
            width = layer.widths[0] if part.projects else layer.hidden
            unit = tir.min(p * layer.units, width - layer.units)
            return make(block, number, part, t, now, p, unit).all_rows()

        start = make(block, number, part, t, now, zero, zero).prepare()
        return rows.sequence(*start, rows.loop(count, panel, most=1))

    return rows.sequence(*known, *(part(n, each) for n, each in enumerate(layer.cell.parts)))
