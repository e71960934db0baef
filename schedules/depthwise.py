"""Depthwise convolutions with channels last and their epilogue.

``c[n, y.., x, c] += a[n, .., c] * b[taps.., c]``: each channel is independent, so a tile is some
pixels of a row by one or a few vectors of channels. It is accumulated in registers over all taps.

1. Inline the epilogue into its last block.
2. Split the result into bands of rows by vectors of channels, and run them on all cores. Pad one
   band at a time, so that the padded input never leaves the cache. Bytes may also be converted in a
   stage of their own, as to the groups of a dot product: this is done for one band as well.
3. Within a band, loop over tiles of pixels. In a tile the taps are the outer loops; pixels and
   channels are unrolled inside.
4. The last tile of a row or of the channels overlaps the one before.
"""

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide, Key
from .choices import choices
from .overlap import OVERLAP, overlaps
from .retile import Tiled
from .rule import Scheduled
from .stages import in_registers
from .versions import Version, cost, of_every_size

# Default limits: pixels of a tile, and floats of a padded band. Each band pads the rows around it
# again that its window needs, so bands are larger if SHARES of them are left for the cores.
PIXELS, BAND, LARGE_BAND, SHARES = 8, 8192, 32768, 16
# Pixels of the other tiles if the width is unknown.
FEWER = (PIXELS // 2, 1)
# Rows of a band if the width or height of the image is unknown.
SOME = 4
# Options for a tile's pixels, its vectors of channels, and a band's rows.
TILES, VECTORS, BANDS = (1, 2, 3, 4, 6, 8, 12, 16), (1, 2, 4), (1, 2, 4, 8, 16)


def _convolution(sch: s_tir.Schedule, blocks: list[SBlockRV]) -> SBlockRV | None:
    """The kernel's only reduction block, if its operands and output end in the same iterator."""
    reductions = [b for b in blocks if "R" in analysis.kinds(sch, b)]
    if len(reductions) != 1:
        return None
    block, kinds = sch.get(reductions[0]), analysis.kinds(sch, reductions[0])
    spatial = kinds.count("S")
    if kinds.lstrip("S").strip("R") or spatial < 3 or len(block.reads) != 2:
        return None
    variables = [v.var for v in block.iter_vars]
    a, b, c = ([r.min for r in access.region] for access in (*block.reads, block.writes[0]))
    channel = variables[spatial - 1]
    taps = [*variables[spatial:], channel]
    return (
        reductions[0]
        if a[-1].same_as(channel)
        and analysis.same(b, taps)
        and analysis.same(c, variables[:spatial])
        else None
    )


def apply(function: tir.PrimFunc, target: tvm.target.Target, decide: Decide) -> Scheduled:
    """Schedule one depthwise convolution and what is fused around it.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    extent = _pixels(function)
    if extent is None or analysis.constant(extent) is not None:
        made = _scheduled(function, target, decide)
        return made[0] if made else None
    made = _scheduled(function, target, decide, PIXELS)
    if made is None:
        return None
    sch, number, pixels, vectors = made
    wide = sch.mod["main"]
    if not overlaps(wide, extent >= PIXELS):
        return None
    least = cost(extent, PIXELS, vectors) <= cost(extent, FEWER[0], vectors)
    versions = [Version(wide, tir.all(extent >= PIXELS, least), extent >= PIXELS)]
    for size in FEWER:
        narrow = Tiled(wide, number, PIXELS, pixels).of_size(size)
        if narrow is None:
            return None
        versions.append(Version(narrow, extent >= size, extent >= size))
    return of_every_size(versions)


def _pixels(function: tir.PrimFunc) -> tir.Expr | None:
    """The extent of a convolution's rows of pixels. None if there is no convolution."""
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    product = _convolution(sch, blocks) if blocks else None
    if product is None:
        return None
    return sch.get(sch.get_loops(product)[analysis.kinds(sch, product).count("S") - 2]).extent


def _scheduled(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide, tile: int | None = None
) -> tuple[s_tir.Schedule, tir.Var, tir.Expr, int] | None:
    """Schedule a convolution with tiles of ``tile`` pixels, by default as the rule chooses.

    Returns the schedule, the variable of the loop over tiles of pixels, the pixels in a row, and
    the vectors of a tile.
    """
    sch = analysis.start(function)
    blocks = analysis.blocks(sch)
    product = _convolution(sch, blocks) if blocks else None
    if product is None:
        return None
    width = analysis.lanes(target)
    loops, spatial = sch.get_loops(product), analysis.kinds(sch, product).count("S")
    *outer, y, x, c = loops[:spatial]
    pixels, channels = (analysis.extent(sch, loop) for loop in (x, c))
    rows, taps = analysis.elements(sch, [*outer, y]), analysis.elements(sch, loops[spatial:])
    key = Key.of("depthwise", rows=rows, pixels=pixels, channels=channels, taps=taps)
    epilogue = in_registers(sch, product, target)
    *outer, y, x, c = own = sch.get_loops(epilogue)
    # The epilogue may write only the beginning of the convolution's result.
    height, pixels, channels = (analysis.extent(sch, loop) for loop in (y, x, c))
    row = sch.get(x).extent
    every = analysis.elements(sch, [*own, *loops[spatial:]])
    if len(own) != spatial or every == 0 or not channels:
        return None
    width = min(width, 1 << (channels.bit_length() - 1))
    count = None if height is None or pixels is None else height * pixels * channels
    choice = decide(key)
    wide = [n for n in VECTORS if n * width <= channels]
    vectors = choice.pick("vectors", wide, 2 if channels % (2 * width) == 0 else 1)
    long = [n for n in TILES if n * vectors <= choices(target).registers]
    if tile is None:
        tile = analysis.balanced(pixels, choice.pick("pixels", long, PIXELS))
    stages = _stages(sch, product)
    band = SOME if height is None else height
    if stages:
        across = analysis.constant(sch.get(stages[0]).writes[0].source.shape[-2])
        if across is None:
            band = min(band, SOME)
        else:
            fits, most = (n // (across * vectors * width) for n in (BAND, LARGE_BAND))
            shared = band * channels // (vectors * width * SHARES)
            band = min(band, max(1, fits, min(most, shared)))
    band = analysis.balanced(height, choice.pick("band", BANDS, band))
    y_outer, y_inner = sch.split(y, [None, band])
    x_outer, x_inner = sch.split(x, [None, tile])
    c_outer, c_inner = sch.split(c, [None, vectors * width])
    sch.reorder(*outer, y_outer, c_outer, y_inner, x_outer, x_inner, c_inner)
    sch.annotate(epilogue, OVERLAP, [spatial - 2, spatial - 1])
    if None in (height, *(analysis.extent(sch, loop) for loop in outer)):
        *_, shared = around = analysis.groups(sch, [*outer, y_outer, c_outer])
        sch.parallel(around[:2][-1])
    else:
        shared = sch.fuse(*outer, y_outer, c_outer)
        if analysis.in_parallel(choice, count):
            sch.parallel(shared)
    sch.compute_at(product, x_outer, preserve_unit_loops=True)
    for stage in stages:
        sch.compute_at(stage, shared, preserve_unit_loops=True)
        *_, along = sch.get_loops(stage)
        of_bytes = sch.get(stage).reads[0].source.dtype in ("int8", "uint8")
        sch.vectorize(sch.split(along, [None, width * vectors if of_bytes else width])[1])
    _registers(sch, product, width)
    sch.vectorize(sch.split(c_inner, [None, width])[1])
    sch.unroll(x_inner)
    return sch, sch.get(x_outer).loop_var, row, vectors


def _stages(sch: s_tir.Schedule, product: SBlockRV) -> list[SBlockRV]:
    """What makes the convolution's operand: its producer, the producer of that one, and so on."""
    found: list[SBlockRV] = []
    while before := sch.get_producers([product, *found][-1]):
        found.append(before[0])
    return found


def _registers(sch: s_tir.Schedule, product: SBlockRV, width: int) -> None:
    """Reorder the loops in a tile: taps outermost, pixels and vectors unrolled inside."""
    kinds = analysis.kinds(sch, product)
    inner = sch.get_loops(product)[-len(kinds) :]
    spatial = kinds.count("S")
    x, c, taps = inner[spatial - 2], inner[spatial - 1], inner[spatial:]
    c_outer, c_vector = sch.split(c, [None, width])
    sch.reorder(*taps, x, c_outer, c_vector)
    sch.vectorize(c_vector)
    for loop in (x, c_outer, taps[-1]):
        sch.unroll(loop)
    init = sch.decompose_reduction(product, taps[0])
    *_, x, c_outer, c_vector = sch.get_loops(init)
    sch.vectorize(c_vector)
    sch.unroll(x)
    sch.unroll(c_outer)
