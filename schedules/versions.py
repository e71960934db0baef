"""One kernel in several versions, of which the sizes at hand choose one at run time.

A register tile that fits every row count does not exist: with many rows it is high, with few it is
as high as there are rows. A rule schedules a kernel of symbolic extents once for each case, and the
versions become the branches of one function. Each version computes the same bits. Knows no rule.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV

from quake_tvm.kernels.rows import PARALLEL_ELEMENTS
from quake_tvm.tvm_version import dtype_of, tir

from . import analysis
from .tiles import substituted

# The PrimFunc attribute with the number of versions, for the report.
VERSIONS = "quake.versions"
# A loop of so many iterations keeps the cores of a small machine busy.
FEW = 8


@dataclass(frozen=True)
class Version:
    """One of a kernel's schedules.

    Attributes
    ----------
    schedule : Schedule
    when : Expr
        A condition on symbolic extents. The first version whose condition holds is run. If none
        holds, nothing is run, so all together must hold for every size but an empty result's.
    given : Expr
        What is known of the symbolic extents while this version runs: ``when`` implies it.
    """

    schedule: s_tir.Schedule
    when: tir.Expr
    given: tir.Expr


def balanced(count: tir.Expr, most: int) -> tir.Expr:
    """The tile size of at most ``most`` that divides a count into the most equal tiles; 0 of 0.

    The symbolic form of :func:`analysis.balanced`.
    """
    tiles = tir.max((count + (most - 1)) // most, tir.const(1, dtype_of(count)))
    return (count + tiles - 1) // tiles


def groups(sch: s_tir.Schedule, loops: Sequence[LoopRV]) -> list[LoopRV]:
    """Fuse loops as far as no index is then divided by a symbolic extent.

    Returns
    -------
    list of LoopRV
        The loops that remain, outermost first.
    """
    found: list[list[LoopRV]] = []
    for loop in loops:
        if found and analysis.extent(sch, loop) is not None:
            found[-1].append(loop)
        else:
            found.append([loop])
    return [sch.fuse(*each) if len(each) > 1 else each[0] for each in found]


def thread_cases(
    outer: Sequence[int | tir.Expr], count: tir.Expr
) -> Iterator[tuple[list[tir.Expr], int | None]]:
    """Which of the outer loops runs on all cores, depending on the sizes.

    Parameters
    ----------
    outer : sequence of int or Expr
        The extents of the outermost loops.
    count : Expr
        The number of elements.

    Yields
    ------
    list of Expr, int or None
        Conditions, and the loop that they select. The first case that applies is taken.
    """
    yield [count < PARALLEL_ELEMENTS], None
    for n, extent in enumerate(outer[:2]):
        last = n == len(outer[:2]) - 1
        known = analysis.constant(extent)
        if last or known is None or known >= FEW:
            yield [] if last or known is not None else [extent >= FEW], n
        if known is not None and known >= FEW:
            return


def joined(versions: Sequence[tuple[tir.Expr, tir.PrimFunc]]) -> tir.PrimFunc:
    """One function that runs the first version whose condition holds.

    Parameters
    ----------
    versions : sequence of (Expr, PrimFunc)
        Each condition with its version. All versions have the same parameters, and a root block.
    """
    roots = [_with_fresh_buffers(function.body.block) for _, function in versions]
    body: tir.Stmt | None = None
    for (when, _), root in zip(reversed(versions), reversed(roots), strict=True):
        body = tir.IfThenElse(when, root.body, body)
    first, buffers = roots[0], [buffer for root in roots for buffer in root.alloc_buffers]
    block = s_tir.SBlock(
        [], first.reads, first.writes, first.name_hint, body, None, buffers, first.match_buffers,
        first.annotations,
    )  # fmt: skip
    function = versions[0][1].with_body(s_tir.SBlockRealize([], True, block))
    return function.with_attr(VERSIONS, len(versions))


def _with_fresh_buffers(root: s_tir.SBlock) -> s_tir.SBlock:
    """The block with new buffers in place of those that it allocates: versions may share them."""
    pairs = [
        (b, tir.decl_buffer(list(b.shape), b.dtype, b.name, scope=b.scope(), layout=None))
        for b in root.alloc_buffers
    ]
    return substituted(root, pairs) if pairs else root
