"""Convolutions by Winograd's algorithm, with their epilogue.

:mod:`quake_tvm.kernels.winograd` generates these loops, since no schedule can transform a square in
registers. The rule generates them for the target's register tile, and with the epilogue where they
store a result:

1. Inline what is fused behind the convolution into the last block.
2. If this reads each result at the indices where it writes, put its expression into the loops.
   Otherwise the convolution is stored, and the last block stays a stage of its own.

The rows of the register tile, the tiles of a block and the use of cores are tunable parameters.
"""

from collections.abc import Sequence
from dataclasses import replace

import tvm
import tvm_ffi
from tvm import s_tir

from quake_tvm.kernels.register_tile import Tile
from quake_tvm.kernels.winograd import BEFORE, NAME, Cut, Store, loops
from quake_tvm.numerics.winograd import RESULTS
from quake_tvm.tvm_version import Expr, Stmt, tir

from . import analysis, product_tiles
from .choice import Choice, Decide, Key
from .choices import choices
from .stages import copy
from .tiles import substituted, with_own_values

# Default number of tiles in a block: its inputs and products take 64 bytes for each channel.
BLOCK = 24
# Options.
BLOCKS, ROWS = (8, 16, 24, 48), (2, 4, 6, 8, 12, 16)
# With as many blocks there is work for all cores. With fewer, and with channels enough that the
# transforms cost little, the channels are divided too.
ENOUGH, CHANNELS = 8, 128


def key_of(shape: Sequence[int | Expr], depth: int, dtype: str) -> Key:
    """The key of a convolution.

    Parameters
    ----------
    shape : sequence of int or Expr
        That of the result.
    depth : int
        Input channels.
    dtype : str
        That of the transformed weights.
    """
    extents = [analysis.constant(n) for n in shape]
    images, height, width, channels = extents
    tiles = None
    if images is not None and height is not None and width is not None:
        tiles = images * -(-height // RESULTS) * -(-width // RESULTS)
    key = Key.of("winograd", tiles=tiles, columns=channels, depth=depth)
    return replace(key, dtype=dtype)


def cut(key: Key, width: int, target: tvm.target.Target, choice: Choice) -> Cut:
    """How the work of a convolution is divided.

    Parameters
    ----------
    key : Key
        As :func:`key_of` makes it.
    width : int
        Columns of a panel.
    target : tvm.target.Target
    choice : Choice
        The tunable parameters.
    """
    tiles, channels, depth = key["tiles"], key["columns"] or 1, key["depth"] or 1
    lanes = min(analysis.lanes(target), width & -width)
    vectors = width // lanes
    heights = [n for n in ROWS if n * vectors <= choices(target).registers]
    rows = choice.pick("rows", heights, product_tiles.height(vectors, target))
    own = BLOCK if tiles is None else analysis.balanced(max(tiles, 1), BLOCK)
    block = -(-choice.pick("block", BLOCKS, own) // rows) * rows
    few = tiles is None or -(-tiles // block) < ENOUGH
    groups = max(channels // CHANNELS, 1) if few else 1
    work = None if tiles is None else tiles * channels * depth
    return Cut(Tile(rows, vectors, lanes), block, groups, analysis.in_parallel(choice, work))


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Take a function that is one such convolution, and what is fused behind it.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    sch = analysis.start(function)
    names = [str(sch.get(each).name_hint) for each in analysis.blocks(sch) or []]
    if NAME not in names:
        return None
    block = sch.get(sch.get_sblock(NAME))
    (x, u), result = _operands(block)
    if not any(map(x.same_as, function.params)):
        return None
    for name in names[:-1]:
        if name != NAME:
            sch.compute_inline(sch.get_sblock(name))
    last = sch.get(sch.get_sblock(names[-1]))
    key = key_of(result.shape, int(x.shape[-1]), str(u.dtype))
    divided = cut(key, int(u.shape[-1]), target, decide(key))
    before = list(map(int, block.annotations[BEFORE]))

    def body(store: Store) -> Stmt:
        return loops(x, u, list(result.shape), before, divided, store)

    if _in_place(last, result):
        return analysis.start(_with_body(function, body(_through(last, result))))

    def plain(*at: Expr) -> Stmt:
        return tir.BufferStore(result, at[-1], list(at[:-1]))

    done = tvm_ffi.structural_map(
        sch.mod["main"].body,
        (s_tir.SBlock, lambda each: _again(each, body(plain)) if each.name_hint == NAME else each),
    )
    sch = analysis.start(function.with_body(done))
    copy(sch, sch.get_sblock(names[-1]), target)
    return sch


def _operands(block: s_tir.SBlock) -> tuple[list[tir.Buffer], tir.Buffer]:
    """The input, the weights and the result of a convolution: its tensors of four axes."""
    read: list[tir.Buffer] = []
    written: list[tir.Buffer] = []

    def load(each: tvm.ir.TensorLoad) -> None:
        if len(each.indices) == 4 and not any(map(each.source.same_as, read)):
            read.append(each.source)

    def store(each: tir.BufferStore) -> None:
        if len(each.indices) == 4:
            written.append(each.buffer)

    callbacks = [(tvm.ir.TensorLoad, load), (tir.BufferStore, store)]
    tvm_ffi.structural_walk(block.body, callbacks)
    return read, written[0]


def _in_place(last: s_tir.SBlock, result: tir.Buffer) -> bool:
    """Whether a block reads each element of a tensor at the indices where it writes its own."""
    variables = [each.var for each in last.iter_vars]
    extents = [each.dom.extent for each in last.iter_vars]
    found = [analysis.same(extents, list(result.shape))]

    def load(each: tvm.ir.TensorLoad) -> None:
        if each.source.same_as(result):
            found.append(analysis.same(list(each.indices), variables))

    tvm_ffi.structural_walk(last.body, (tvm.ir.TensorLoad, load))
    return all(found) and analysis.same(list(last.body.indices), variables)


def _through(last: s_tir.SBlock, result: tir.Buffer) -> Store:
    """Store what a block makes of a result."""
    variables = [each.var for each in last.iter_vars]

    def store(*given: Expr) -> Stmt:
        *at, value = given

        def load(each: tvm.ir.TensorLoad) -> Expr:
            return value if each.source.same_as(result) else each

        made = tvm_ffi.structural_map(last.body.value, (tvm.ir.TensorLoad, load))
        made = substituted(with_own_values(made), list(zip(variables, at, strict=True)))
        return tir.BufferStore(last.body.buffer, made, at)

    return store


def _again(block: s_tir.SBlock, body: Stmt) -> s_tir.SBlock:
    """The block with another body."""
    return s_tir.SBlock([], [], [], block.name_hint, body, annotations=block.annotations)


def _with_body(function: tir.PrimFunc, body: Stmt) -> tir.PrimFunc:
    """The function as one block of these loops."""
    root = s_tir.SBlock([], [], [], "root", body)
    return function.with_body(s_tir.SBlockRealize([], True, root))
