"""Convolutions by Winograd's F(2x2, 3x3) as loops, a block of tiles after the other.

A tile is four pixels of the result, two by two. Tiles are numbered over all images, so that a block
has as many tiles whatever the size of an image is, and what it computes stays in the second-level
cache:

1. Transform the inputs of all tiles of the block.
2. For each panel of output channels: sixteen small matrix products of tiles by channels.
3. Transform the products to results, and store them.

The mathematics is in :mod:`quake_tvm.numerics.winograd`. Each result takes the channels in
ascending order, so its bits depend neither on the block nor on the register tile. A block may have
fewer tiles than its last register tile has rows. These rows compute the last tile again and are not
stored.

Weights may be pairs of bfloat16 numbers. Then the transformed inputs are rounded to bfloat16, and
the channels are taken in pairs, the odd one before the even one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tvm import te

from ..numerics import winograd
from ..numerics.bfloat16_pairs import dot, narrowed, pair
from ..numerics.winograd import PRODUCTS, RESULTS
from ..tvm_version import Expr, Stmt, alloc, tir
from . import rows
from .register_tile import Tile

# The block's name, and the annotation with the padding in front of rows and columns.
NAME, BEFORE = "quake_winograd", "quake.before"
# Products of a tile along both axes.
SQUARE = PRODUCTS * PRODUCTS
# Stores a result: image, row, column, channel and value to a statement.
Store = Callable[[Expr, Expr, Expr, Expr, Expr], Stmt]


@dataclass(frozen=True)
class Cut:
    """How the work is divided.

    Attributes
    ----------
    tile : Tile
        The register tile of the products: tiles of pixels by channels.
    block : int
        Tiles of a block, a multiple of the register tile's rows.
    groups : int
        Into how many groups the panels are divided. Each one transforms its inputs itself.
    parallel : bool
        Whether blocks and groups run on all cores.
    """

    tile: Tile
    block: int
    groups: int
    parallel: bool


def convolution(
    x: te.Tensor,
    u: te.Tensor,
    pixels: Sequence[int | Expr],
    channels: int,
    before: Sequence[int],
) -> te.Tensor:
    """A convolution of windows of 3 by 3 that move by one pixel.

    Parameters
    ----------
    x : Tensor
        Of shape (n, height, width, i), with at least 16 channels.
    u : Tensor
        Transformed weights in panels, of shape (o/p, 16, i, p), or (o/p, 16, i/2, p) of pairs.
    pixels : sequence of two int or Expr
        Height and width of the result.
    channels : int
        Output channels o.
    before : sequence of two int
        Rows and columns of zeros in front of the input.

    Returns
    -------
    Tensor
        Of shape (n, height, width, o).
    """
    shape = (x.shape[0], *pixels, channels)
    width = int(u.shape[-1])
    lanes = min(width & -width, rows.LANES)
    cut = Cut(Tile(4, width // lanes, lanes), 24, 1, False)

    def body(ins: Sequence[tir.Buffer], outs: Sequence[tir.Buffer]) -> Stmt:
        def store(*at: Expr) -> Stmt:
            return tir.BufferStore(outs[0], at[-1], list(at[:-1]))

        return loops(ins[0], ins[1], shape, before, cut, store)

    made = te.extern(
        [shape],
        [x, u],
        body,
        name=NAME,
        dtype="float32",
        # As tensor expressions have them. By default offsets are unknown, which TVM does not fuse.
        in_buffers=[tir.decl_buffer(t.shape, t.dtype, t.op.name, layout=None) for t in (x, u)],
        attrs={BEFORE: list(before)},
    )
    # A block behind the loops: TVM drops a function's only block when it fuses the function.
    return te.compute(shape, lambda *at: made(*at), name="convolved")


def loops(
    x: tir.Buffer,
    u: tir.Buffer,
    shape: Sequence[int | Expr],
    before: Sequence[int],
    cut: Cut,
    store: Store,
) -> Stmt:
    """The loops of :func:`convolution`, which store results of this shape."""
    images, height, width, _ = shape
    down, across = ((n + RESULTS - 1) // RESULTS for n in (height, width))
    total = _int(images * down * across)
    panels = int(u.shape[0])

    def part(number: Expr) -> Stmt:
        first, group = number // cut.groups * cut.block, number % cut.groups
        block = _Block(x, u, shape, before, cut, first)
        steps, count = rows.once(tir.min(total - first, _int(cut.block)))
        each = [rows.once((group + k) * panels // cut.groups) for k in (0, 1)]
        (begin, start), (end, stop) = each
        return rows.sequence(
            *steps,
            *begin,
            *end,
            *map(alloc, (block.places, block.inputs, block.products)),
            block.transform(count, down, across, total),
            rows.loop(stop - start, lambda p: block.panel(start + p, count, store), most=1),
        )

    kind = tir.ForKind.PARALLEL if cut.parallel else tir.ForKind.SERIAL
    return rows.loop((total + cut.block - 1) // cut.block * cut.groups, part, kind, most=1)


def _int(value: int | Expr) -> Expr:
    return value if isinstance(value, Expr) else tir.const(value, "int64")


class _Block:
    """The tiles from one number on."""

    def __init__(
        self,
        x: tir.Buffer,
        u: tir.Buffer,
        shape: Sequence[int | Expr],
        before: Sequence[int],
        cut: Cut,
        first: Expr,
    ) -> None:
        self.x, self.u, self.shape, self.before = x, u, shape, before
        self.tile, self.size, self.first = cut.tile, cut.block, first
        self.depth = int(x.shape[-1])
        self.paired = u.dtype == "int32"
        # Image, row and column of each tile's first result; factors (product, tile, channel).
        self.places = rows.local(3 * self.size, "int64")
        self.inputs = rows.local(
            SQUARE * self.size * self.depth, "uint16" if self.paired else "float32"
        )
        self.products = rows.local(SQUARE * self.size * self.tile.columns)

    def _strips(self, count: Expr) -> Expr:
        """Into how many register tiles so many tiles go."""
        return (count + self.tile.rows - 1) // self.tile.rows

    def _place(self, t: Expr) -> tuple[Expr, Expr, Expr]:
        image, row, column = (self.places[t * 3 + k] for k in range(3))
        return image, row, column

    def _vector(self, body: Callable[[Expr], Stmt]) -> Stmt:
        return rows.loop(self.tile.lanes, body, tir.ForKind.VECTORIZED)

    def _square(
        self,
        count: int,
        element: Callable[[int, int, Expr], Expr],
        step: Callable[[Sequence[Expr]], list[Expr]],
        store: Callable[[int, int, Expr, Expr], Stmt],
    ) -> Stmt:
        """Take a step along both axes of a square of vectors, and store what comes out.

        The columns are kept in registers, so that every sum is computed once.
        """
        kept = [[rows.local(self.tile.lanes) for _ in range(PRODUCTS)] for _ in range(count)]
        steps: list[Stmt] = [alloc(each) for row in kept for each in row]

        def each(value: Callable[[Expr], Expr], into: tir.Buffer) -> Stmt:
            return self._vector(lambda k: tir.BufferStore(into, value(k), [k]))

        def stepped(line: Sequence[tir.Buffer], n: int) -> Callable[[Expr], Expr]:
            return lambda k: step([part[k] for part in line])[n]

        for j in range(PRODUCTS):
            column = [rows.local(self.tile.lanes) for _ in range(PRODUCTS)]
            steps += map(alloc, column)
            steps += [each(partial(element, i, j), into) for i, into in enumerate(column)]
            steps += [each(stepped(column, i), kept[i][j]) for i in range(count)]

        def out(i: int, j: int) -> Stmt:
            return self._vector(lambda k: store(i, j, k, stepped(kept[i], j)(k)))

        return rows.sequence(*steps, *(out(i, j) for i in range(count) for j in range(count)))

    def transform(self, count: Expr, down: Expr, across: Expr, total: Expr) -> Stmt:
        """Note where the tiles are, and transform their inputs."""
        _, height, width, _ = self.x.shape
        lanes = self.tile.lanes

        def one(t: Expr) -> Stmt:
            number = tir.min(self.first + t, total - 1)
            within = number % (down * across)
            place = (
                number // (down * across),
                within // across * RESULTS,
                within % across * RESULTS,
            )
            noted = [
                tir.BufferStore(self.places, value, [t * 3 + k]) for k, value in enumerate(place)
            ]
            image, row, column = self._place(t)
            (a, top), (b, left) = (
                rows.once(n - k) for n, k in zip((row, column), self.before, strict=True)
            )
            c, image = rows.once(image)

            def channels(start: Expr, guarded: bool) -> Stmt:
                def element(i: int, j: int, k: Expr) -> Expr:
                    value = self.x[image, top + i, left + j, start + k]
                    if not guarded:
                        return value
                    inside = tir.all(
                        top + i >= 0, top + i < height, left + j >= 0, left + j < width
                    )
                    return tir.if_then_else(inside, value, tir.const(0, "float32"))

                def put(i: int, j: int, k: Expr, value: Expr) -> Stmt:
                    line = (i * PRODUCTS + j) * self.size + t
                    factor = narrowed(value) if self.paired else value
                    return tir.BufferStore(self.inputs, factor, [line * self.depth + start + k])

                return self._square(PRODUCTS, element, winograd.inputs, put)

            def every(guarded: bool) -> Stmt:
                vectors = _int(-(-self.depth // lanes))
                return rows.loop(
                    vectors,
                    lambda v: channels(tir.min(v * lanes, _int(self.depth - lanes)), guarded),
                    most=1,
                )

            inside = tir.all(
                top >= 0, top + PRODUCTS <= height, left >= 0, left + PRODUCTS <= width
            )
            branches = tir.IfThenElse(inside, every(False), every(True))
            return rows.sequence(*noted, *a, *b, *c, branches)

        return rows.loop(self._strips(count) * self.tile.rows, one, most=1)

    def panel(self, p: Expr, count: Expr, store: Store) -> Stmt:
        """The results of one panel of channels."""
        return rows.sequence(
            rows.loop(_int(SQUARE), lambda e: self._multiply(p, e, count), most=1),
            rows.loop(count, lambda t: self._results(p, t, store), most=1),
        )

    def _multiply(self, p: Expr, e: Expr, count: Expr) -> Stmt:
        """One of the sixteen products of a panel."""

        def strip(q: Expr) -> Stmt:
            line = e * self.size + q * self.tile.rows

            def factor(r: int, k: Expr) -> Expr:
                start = (line + r) * self.depth
                if self.paired:
                    return pair(self.inputs[start + 2 * k], self.inputs[start + 2 * k + 1])
                return self.inputs[start + k]

            return self.tile.product(
                int(self.u.shape[-2]),
                factor,
                lambda k, j: self.u[p, e, k, j],
                lambda r, j, value: tir.BufferStore(
                    self.products, value, [(line + r) * self.tile.columns + j]
                ),
                add=dot if self.paired else lambda s, x, y: s + x * y,
            )

        return rows.loop(self._strips(count), strip, most=1)

    def _results(self, p: Expr, t: Expr, store: Store) -> Stmt:
        """Transform the products of a tile, and store the results within the image."""
        _, height, width, channels = self.shape
        columns, lanes = self.tile.columns, self.tile.lanes
        (a, image), (b, row), (c, column) = map(rows.once, self._place(t))
        first = tir.min(p * columns, _int(channels - columns))

        def vector(v: Expr) -> Stmt:
            done = rows.local(RESULTS * RESULTS * lanes)

            def element(i: int, j: int, k: Expr) -> Expr:
                line = (i * PRODUCTS + j) * self.size + t
                return self.products[line * columns + v * lanes + k]

            def put(i: int, j: int, k: Expr, value: Expr) -> Stmt:
                return tir.BufferStore(done, value, [(i * RESULTS + j) * lanes + k])

            def pixel(i: int, j: int) -> Stmt:
                at = (image, row + i, column + j)
                stored = self._vector(
                    lambda k: store(*at, first + v * lanes + k, done[(i * RESULTS + j) * lanes + k])
                )
                if i == j == 0:
                    return stored
                return tir.IfThenElse(tir.all(at[1] < height, at[2] < width), stored, None)

            square = self._square(RESULTS, element, winograd.results, put)
            pixels = [pixel(i, j) for i in range(RESULTS) for j in range(RESULTS)]
            return rows.sequence(alloc(done), square, *pixels)

        return rows.sequence(*a, *b, *c, rows.loop(_int(columns // lanes), vector, most=1))
