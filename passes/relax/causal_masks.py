"""Masks by which row i sees the keys up to a position: causal masks, also of a cache.

Such a mask is 0 where a comparison of the keys' numbers with the rows' positions holds, and -inf
elsewhere. The positions may be any tensor; the keys' numbers must be proven to be 0, 1, 2, ...
Knows no attention.
"""

import math
from dataclasses import dataclass

import numpy as np
import tvm
import tvm_ffi
from tvm import relax

from quake_tvm.tvm_version import tir

from .graph import Graph, known_shape, op_name

# For each comparison of a key with a position: whether the key is the first operand, and what is
# added to the position so that the last visible key results.
_COMPARISONS = {
    "relax.less_equal": (True, 0),
    "relax.less": (True, -1),
    "relax.greater_equal": (False, 0),
    "relax.greater": (False, -1),
}
_RESHAPES = {"relax.reshape", "relax.expand_dims", "relax.squeeze"}
# Types that hold the number of any key.
_WIDE = ("int32", "int64", "float32", "float64")


@dataclass(frozen=True)
class CausalMask:
    """Row i sees the keys up to ``positions[i] + shift``.

    Attributes
    ----------
    positions : Expr
        A tensor with as many elements as there are rows.
    shift : int
    rows, keys : Expr
        The numbers of rows and of keys.
    """

    positions: relax.Expr
    shift: int
    rows: tvm.ir.Expr
    keys: tvm.ir.Expr

    def tensor(self) -> relax.Expr:
        """The last visible key of every row, as int64."""
        flat = relax.op.reshape(self.positions, relax.ShapeExpr([self.rows]))
        positions = relax.op.astype(flat, "int64")
        if not self.shift:
            return positions
        return relax.op.add(positions, relax.const(self.shift, "int64"))


def causal_mask(graph: Graph, mask: relax.Expr) -> CausalMask | None:
    """The causal mask that a tensor (.., row, key) is, or None if it is not proven to be one."""
    if not known_shape(mask) or len(mask.ty.shape) < 2:
        return None
    *outer, rows, keys = mask.ty.shape
    if any(not _is(n, 1) for n in outer):
        return None
    constant = graph.constant(mask)
    if constant is not None:
        return _of_constant(constant.reshape(constant.shape[-2:]), rows, keys)
    call = graph.value(_unspread(graph, mask))
    if op_name(call) != "relax.where":
        return None
    seen, hidden = (graph.scalar(value) for value in call.args[1:])
    if seen != 0 or hidden != -math.inf:
        return None
    condition = graph.value(_unspread(graph, call.args[0]))
    if op_name(condition) not in _COMPARISONS:
        return None
    key_first, shift = _COMPARISONS[op_name(condition)]
    of_keys, of_rows = condition.args if key_first else reversed(condition.args)
    if not (_along(of_keys, 1, keys) and _along(of_rows, 2, rows) and _counts(graph, of_keys)):
        return None
    return CausalMask(of_rows, shift, rows, keys)


def _of_constant(mask: np.ndarray, rows: tvm.ir.Expr, keys: tvm.ir.Expr) -> CausalMask | None:
    visible = mask == 0
    last = visible.sum(axis=1) - 1
    wanted = np.arange(mask.shape[1]) <= last[:, None]
    if (visible != wanted).any() or not np.isneginf(mask[~visible]).all() or visible.all():
        return None
    return CausalMask(relax.const(last, "int64"), 0, rows, keys)


def _is(n: tvm.ir.Expr, value: int) -> bool:
    return isinstance(n, tir.IntImm) and int(n) == value


def _unspread(graph: Graph, expr: relax.Expr) -> relax.Expr:
    """The tensor in front of broadcasts and of reshapes that only change leading axes of 1."""
    while True:
        call = graph.value(expr)
        name = op_name(call)
        if name != "relax.broadcast_to" and not (
            name in _RESHAPES and _inner(call.args[0]) == _inner(expr)
        ):
            return expr
        expr = call.args[0]


def _inner(expr: relax.Expr) -> list[str] | None:
    """The extents behind leading ones, as text that tells different ones apart."""
    if not known_shape(expr):
        return None
    extents = list(expr.ty.shape)
    while extents and _is(extents[0], 1):
        extents.pop(0)
    return [str(n) for n in extents]


def _along(expr: relax.Expr, axis: int, extent: tvm.ir.Expr) -> bool:
    """Whether an integer tensor has this extent along its axis ``-axis``, and 1 along others."""
    if not known_shape(expr) or not str(expr.ty.dtype).startswith("int"):
        return False
    shape = list(expr.ty.shape)
    if len(shape) < axis:
        return False
    own = shape.pop(-axis)
    return tvm_ffi.structural_equal(own, extent) and all(_is(n, 1) for n in shape)


def _counts(graph: Graph, expr: relax.Expr) -> bool:
    """Whether the elements of a tensor of one long axis are 0, 1, 2, ..."""
    constant = graph.constant(expr)
    if constant is not None:
        return bool((constant.reshape(-1) == np.arange(constant.size)).all())
    call = graph.value(expr)
    name = op_name(call)
    if name in _RESHAPES:
        return _counts(graph, call.args[0])
    if name == "relax.broadcast_to":
        return _as_long(call.args[0], expr) and _counts(graph, call.args[0])
    if name == "relax.add":
        return any(
            graph.scalar(b) == 0 and _as_long(a, expr) and _counts(graph, a)
            for a, b in (call.args, call.args[::-1])
        )
    if name not in {"relax.astype", "relax.arange"} or str(expr.ty.dtype) not in _WIDE:
        return False
    if name == "relax.astype":
        return _counts(graph, call.args[0])
    start, _, step = call.args
    return _is(start, 0) and _is(step, 1)


def _as_long(expr: relax.Expr, spread: relax.Expr) -> bool:
    """Whether a tensor is broadcast along leading axes only, and not along its own."""
    return _inner(expr) is not None and _inner(expr) == _inner(spread)
