"""The least and the greatest number of each row. NaN if a row has one.

Both come from one reading of a row, which stays in the first-level cache. Knows no target and no
graph.
"""

import math
from collections.abc import Sequence

from tvm import te

from ..numerics.exp_bits import constant
from ..tvm_version import dtype_of, tir
from . import row_kernel
from .rows import Expr, Row, Stmt

# The kinds of extremes, with the number that is none.
_KINDS = {"min": (tir.Min, math.inf), "max": (tir.Max, -math.inf)}


def extremes(x: te.Tensor, *, kinds: Sequence[str], **plan: int) -> list[te.Tensor]:
    """The extremes along the last axis.

    Parameters
    ----------
    x : Tensor
        float32, of shape (.., k).
    kinds : sequence of {"min", "max"}
        One result for each.
    **plan
        Options of :func:`row_kernel.kernel`.

    Returns
    -------
    list of Tensor
        Of shape (..).
    """
    *outer, length = x.shape

    def body(x: tir.Buffer, *into: tir.Buffer) -> Stmt:
        def program(r: Row, at: tuple[Expr, ...]) -> list[Stmt]:
            steps: list[Stmt] = []
            for kind, out in zip(kinds, into, strict=True):
                found, extreme = _extreme(r, kind, x, at)
                steps += [*found, tir.BufferStore(out, extreme, list(at))]
            return steps

        return row_kernel.kernel(outer, length, program, **plan)

    made = te.extern(
        [tuple(outer)] * len(kinds),
        [x],
        lambda ins, outs: body(ins[0], *outs),
        name="quake_extremes",
        dtype=["float32"] * len(kinds),
    )
    return made if isinstance(made, list) else [made]


def _extreme(r: Row, kind: str, x: tir.Buffer, at: tuple[Expr, ...]) -> tuple[list[Stmt], Expr]:
    operator, none = _KINDS[kind]

    def step(found: Expr, element: Expr) -> Expr:
        # Without the fence TVM takes a comparison with itself for true. TVM's extreme of a number
        # and a NaN is its second operand.
        fence = tir.call_llvm_pure_intrin(dtype_of(element), "llvm.arithmetic.fence", element)
        return tir.Select(tir.EQ(fence, element), operator(element, found), element)

    return r.reduce(lambda i: x[(*at, i)], step, step, constant(none))
