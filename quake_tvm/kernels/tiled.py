"""Repeat a tensor without a division: as a broadcast of a view.

TVM's tile divides each index by an extent, and computes vectors element by element. Here an axis of
n elements that is repeated k times is two axes: (1, n) is broadcast to (k, n), which is a copy of
whole rows, and viewed as k * n.
"""

from collections.abc import Sequence

from tvm import relax

from ..tvm_version import Expr, tir


def tiled(builder: relax.BlockBuilder, x: relax.Expr, repeats: Sequence[int | Expr]) -> relax.Expr:
    """The tensor repeated along its last axes, or along new axes in front.

    Parameters
    ----------
    builder : BlockBuilder
    x : Expr
        Of known rank.
    repeats : sequence of int or Expr
        None of them is negative.
    """
    more = len(repeats) - x.ty.ndim
    shape = [*[1] * more, *x.ty.shape]
    counts = [*[1] * -more, *repeats]
    apart, wide = [], []
    for extent, count in zip(shape, counts, strict=True):
        if _is_one(extent):
            apart.append(extent)
            wide.append(count)
        elif _is_one(count):
            apart.append(extent)
            wide.append(extent)
        else:
            apart += [1, extent]
            wide += [count, extent]
    view = builder.emit(relax.op.reshape(x, apart))
    copied = builder.emit(relax.op.broadcast_to(view, wide))
    return relax.op.reshape(copied, [n * k for n, k in zip(shape, counts, strict=True)])


def _is_one(size: int | Expr) -> bool:
    return isinstance(size, int | tir.IntImm) and int(size) == 1
