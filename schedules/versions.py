"""One kernel in several versions, of which the sizes at hand choose one at run time.

A register tile that fits every row count does not exist: with many rows it is high, with few it is
as high as there are rows. A rule schedules a kernel of symbolic extents once for each case, and the
versions become the branches of one function. Each version computes the same bits. Knows no rule.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import tvm_ffi
from tvm import s_tir

from quake_tvm.kernels.row_kernel import PARALLEL_ELEMENTS
from quake_tvm.tvm_version import dtype_of, tir

from . import analysis
from .divisors import divides_by_sizes, never_zero
from .overlap import OVERLAP
from .tiles import mentions, substituted

# The PrimFunc attribute with the number of versions, for the report.
VERSIONS = "quake.versions"
# A loop of so many iterations keeps the cores of a small machine busy.
FEW = 8


@dataclass(frozen=True)
class Version:
    """One of a kernel's schedules: a scheduled function, with the tiles that a rule annotated.

    Attributes
    ----------
    function : PrimFunc
    when : Expr
        A condition on symbolic extents. The first version whose condition holds is run. If none
        holds, nothing is run, so all together must hold for every size but those of a result
        without elements.
    given : Expr
        What is known of the symbolic extents while this version runs: ``when`` implies it.
    """

    function: tir.PrimFunc
    when: tir.Expr
    given: tir.Expr


def vector_widths(lanes: int) -> list[int]:
    """A vector's lanes, halved as long as there are four, and at last 1, which always fits."""
    wide = [lanes >> n for n in range(lanes.bit_length()) if lanes >> n >= 4]
    return [*wide, 1]


def balanced(count: tir.Expr, most: int) -> tir.Expr:
    """The tile size of at most ``most`` that divides a count into the most equal tiles; 0 of 0.

    The symbolic form of :func:`analysis.balanced`.
    """
    tiles = tir.max((count + (most - 1)) // most, tir.const(1, dtype_of(count)))
    return (count + tiles - 1) // tiles


def cost(count: tir.Expr, size: int, vectors: int) -> tir.Expr:
    """About the time of as many tiles of this size as a count needs, the last one whole."""
    return (count + (size - 1)) // size * analysis.tile_cost(size, vectors)


def least(extent: int | tir.Expr) -> int:
    """The product of the constant factors: an extent that is not 0 is at least that."""
    if isinstance(extent, tir.Mul):
        return least(extent.a) * least(extent.b)
    known = analysis.constant(extent)
    return 1 if known is None else known


def thread_cases(
    outer: Sequence[int | tir.Expr], count: tir.Expr, surely: bool = False
) -> Iterator[tuple[list[tir.Expr], int | None]]:
    """Which of the outer loops runs on all cores, depending on the sizes.

    Parameters
    ----------
    outer : sequence of int or Expr
        The extents of the outermost loops.
    count : Expr
        The number of elements.
    surely : bool
        Whether there are always enough elements for several cores.

    Yields
    ------
    list of Expr, int or None
        Conditions, and the loop that they select. The first case that applies is taken.
    """
    if not surely:
        yield [count < PARALLEL_ELEMENTS], None
    if len(outer) == 1 or least(outer[0]) >= FEW:
        yield [], 0
        return
    if analysis.constant(outer[0]) is None:
        yield [outer[0] >= FEW], 0
    yield [], 1


def of_every_size(versions: Sequence[Version]) -> Sequence[Version]:
    """The versions of a kernel whose tiles fit their case at least once, complete.

    No tile fits where the tiled result has no elements. Then nothing needs to run, unless a stage
    behind the tiles reads the result: a padded or concatenated result may have elements all the
    same. In this case the last version runs if no condition holds. The loops over its tiles have no
    iterations then.
    """
    last = versions[-1]
    written: list[tir.Buffer] = []

    def see(block: s_tir.SBlock) -> None:
        if OVERLAP in block.annotations:
            written.extend(region.source for region in block.writes)

    tvm_ffi.structural_walk(last.function.body, (s_tir.SBlock, see))
    params = last.function.params
    if all(any(map(buffer.same_as, params)) for buffer in written):
        return versions
    return [*versions[:-1], replace(last, when=tir.const(True, "bool"))]


def with_few(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with a version without threads, for tensors of few elements.

    A function of constant extents, or without threads, is unchanged. So is one that divides by
    extents, since TVM then computes sizes of buffers from the divisors.
    """
    volumes = [
        math.prod(p.ty.shape[1:], start=p.ty.shape[0])
        for p in function.params
        if getattr(p.ty, "shape", ()) and analysis.volume(p.ty.shape) is None
    ]

    def parallel(loop: tir.For) -> bool:
        return loop.kind == tir.ForKind.PARALLEL

    if not volumes or not mentions(function.body, tir.For, parallel) or divides_by_sizes(function):
        return function

    def serial(loop: tir.For) -> tir.For:
        kind = tir.ForKind.SERIAL if parallel(loop) else loop.kind
        return tir.For(
            loop.loop_var, loop.min, loop.extent, kind, loop.body, loop.thread_binding,
            loop.annotations, loop.step,
        )  # fmt: skip

    few = tir.all(*(volume < PARALLEL_ELEMENTS for volume in volumes))
    alone = function.with_body(tvm_ffi.structural_map(function.body, (tir.For, serial)))
    return joined([(few, alone), (tir.const(True, "bool"), function)])


def joined(versions: Sequence[tuple[tir.Expr, tir.PrimFunc]]) -> tir.PrimFunc:
    """One function that runs the first version whose condition holds.

    Parameters
    ----------
    versions : sequence of (Expr, PrimFunc)
        Each condition with its version. All versions have the same parameters, and a root block.
    """
    first = versions[0][1]
    roots = [_renewed(never_zero(function), first.params) for _, function in versions]
    body: tir.Stmt | None = None
    for (when, _), root in zip(reversed(versions), reversed(roots), strict=True):
        body = tir.IfThenElse(when, root.body, body)
    buffers = [buffer for root in roots for buffer in root.alloc_buffers]
    own = first.body.block
    block = s_tir.SBlock(
        [], own.reads, own.writes, own.name_hint, body, None, buffers, [], own.annotations
    )
    function = first.with_body(s_tir.SBlockRealize([], True, block))
    return function.with_attr(VERSIONS, len(versions))


def _renewed(function: tir.PrimFunc, params: Sequence[tir.Var]) -> s_tir.SBlock:
    """The root block with loops and buffers of its own, over these parameters.

    Versions come from one function and share its variables, which TVM's passes do not expect in one
    function.
    """
    fresh = s_tir.renew_defs(function)
    pairs = list(zip(fresh.params, params, strict=True))
    for new, old in list(pairs):
        sizes = zip(_sizes(new), _sizes(old), strict=True)
        pairs += [(a, b) for a, b in sizes if isinstance(a, tir.Var)]
    return substituted(fresh.body.block, pairs)


def _sizes(parameter: tir.Var) -> list[tir.Expr]:
    """What describes a tensor's memory. Nothing for a scalar."""
    if not hasattr(parameter.ty, "shape"):
        return []
    return [*parameter.shape, *parameter.strides, parameter.elem_offset]
