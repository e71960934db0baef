"""One kernel in several versions, of which the sizes at hand choose one at run time.

A register tile that fits every row count does not exist: with many rows it is high, with few it is
as high as there are rows. A rule schedules a kernel of symbolic extents once for each case, and the
versions become the branches of one function. Each version computes the same bits. Knows no rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import s_tir

from quake_tvm.tvm_version import dtype_of, tir

# The PrimFunc attribute with the number of versions, for the report.
VERSIONS = "quake.versions"


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


def joined(versions: Sequence[tuple[tir.Expr, tir.PrimFunc]]) -> tir.PrimFunc:
    """One function that runs the first version whose condition holds.

    Parameters
    ----------
    versions : sequence of (Expr, PrimFunc)
        Each condition with its version. All versions have the same parameters, and a root block.
    """
    roots = [function.body.block for _, function in versions]
    body: tir.Stmt | None = None
    for (when, _), root in zip(reversed(versions), reversed(roots), strict=True):
        body = tir.IfThenElse(when, root.body, body)
    first = versions[0][1]
    root = roots[0]
    buffers = [buffer for each in roots for buffer in each.alloc_buffers]
    block = s_tir.SBlock(
        [], root.reads, root.writes, root.name_hint, body, None, buffers, root.match_buffers,
        root.annotations,
    )  # fmt: skip
    function = first.with_body(s_tir.SBlockRealize([], True, block))
    return function.with_attr(VERSIONS, len(versions))
