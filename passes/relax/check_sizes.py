"""Hold the input of every operator that needs matching sizes until these are checked.

TVM's kernels do not check sizes: they read past the end, and drop or invent elements. If sizes are
known to match there is no check. Knows no importer and no kernel.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.kernels.size_check import Need, Pair, equal, held, padded
from quake_tvm.tvm_version import Pass, updated

from .graph import functions, known_shape, op_name

# Pairs of sizes whose first must not exceed the second, and the message if it does.
Limits = tuple[list[Pair], str]


def _sizes(expr: relax.Expr) -> list[Any]:
    extents = expr.values if isinstance(expr, relax.ShapeExpr) else expr.ty.shape
    return [getattr(n, "value", n) for n in extents]


def _topk(call: relax.Call) -> Limits:
    k, extent = int(call.attrs.k), _sizes(call.args[0])[int(call.attrs.axis)]
    return [(k, extent)], f"the axis has fewer than {k} elements"


def _pad(call: relax.Call) -> Limits:
    mode, pads = str(call.attrs.pad_mode), [int(n) for n in call.attrs.pad_width]
    pairs = []
    for k, length in enumerate(_sizes(call.args[0])):
        pairs += padded(length, pads[2 * k], pads[2 * k + 1], mode)
    return pairs, f"an axis is too short for pads in mode {mode}"


def _reshape(call: relax.Call) -> Limits:
    given, wanted = map(prod, map(_sizes, call.args))
    return equal(given, wanted), "the tensor does not have as many elements as the shape wants"


def _windows(call: relax.Call, kernel: list[int], layout: str) -> list[Pair]:
    """Pairs that say that each window fits at least once.

    A window that lacks one element needs no check, because the result is then empty.
    """
    extents = [n for n, c in zip(_sizes(call.args[0]), layout, strict=True) if c not in "NC"]
    pads = [int(n) for n in call.attrs.padding]
    pairs = []
    for k, (extent, size) in enumerate(zip(extents, kernel, strict=True)):
        reach = (size - 1) * int(call.attrs.dilation[k]) + 1
        least = reach - pads[k] - pads[len(extents) + k]
        if least > 1 and not isinstance(extent, int):
            pairs.append((least, extent))
    return pairs


def _spread(call: relax.Call, kernel: list[int], layout: str) -> list[Pair]:
    """Pairs that say that the pads remove no more elements than there are."""
    extents = [n for n, c in zip(_sizes(call.args[0]), layout, strict=True) if c not in "NC"]
    pads, pairs = [int(n) for n in call.attrs.padding], []
    for k, (extent, size) in enumerate(zip(extents, kernel, strict=True)):
        stride, reach = int(call.attrs.strides[k]), (size - 1) * int(call.attrs.dilation[k]) + 1
        least = pads[k] + pads[len(extents) + k] - reach - int(call.attrs.output_padding[k])
        if least > -stride and not isinstance(extent, int):
            pairs.append((least, (extent - 1) * stride))
    return pairs


def _convolution(call: relax.Call) -> Limits:
    data, weights = map(_sizes, call.args)
    order, kernel_order = str(call.attrs.data_layout), str(call.attrs.kernel_layout)
    channels, inner = data[order.index("C")], weights[kernel_order.index("I")]
    kernel = [n for n, c in zip(weights, kernel_order, strict=True) if c not in "OI"]
    if "transpose" in op_name(call):
        problem = "the tensor has other channels than the weights, or is smaller than its pads"
        return [*equal(channels, inner), *_spread(call, kernel, order)], problem
    groups, filters = int(call.attrs.groups), weights[kernel_order.index("O")]
    pairs = [*equal(channels, inner * groups), (filters % groups, 0)]
    if all(isinstance(n, int) for n in kernel):
        pairs += _windows(call, kernel, order)
    problem = "the tensor has other channels than the weights, or is smaller than their window"
    return pairs, problem if groups == 1 else f"{problem}, or the groups do not divide the filters"


def _grid_sample(call: relax.Call) -> Limits:
    pictures, grids = map(_sizes, call.args)
    pairs = [*equal(pictures[0], grids[0]), *equal(grids[1], len(pictures) - 2)]
    pairs += [(1, n) for n in pictures[2:]]
    return pairs, "grids and pictures do not match, or a picture has no elements"


def _group_norm(call: relax.Call) -> Limits:
    shape, *weights = map(_sizes, call.args)
    channels = shape[int(call.attrs.channel_axis)]
    pairs = equal(channels % int(call.attrs.num_groups), 0)
    pairs += [pair for weight in weights for pair in equal(weight[0], channels)]
    return pairs, "the groups do not divide the channels, or the weights do not match them"


def _extreme(call: relax.Call) -> Limits:
    shape = _sizes(call.args[0])
    axis = call.attrs.axis
    extent = prod(shape) if axis is None else shape[int(axis)]
    return [(1, extent)], "there is no largest or smallest of no elements"


def _pool(call: relax.Call) -> Limits:
    kernel = [int(n) for n in call.attrs.pool_size]
    return _windows(call, kernel, str(call.attrs.layout)), "the tensor is smaller than the window"


_RANKS = (1, 2, 3)
Table = Mapping[str, Callable[[relax.Call], Limits]]
SHAPED: Table = {
    "relax.argmax": _extreme,
    "relax.argmin": _extreme,
    "relax.image.grid_sample": _grid_sample,
    "relax.nn.group_norm": _group_norm,
    "relax.topk": _topk,
    "relax.nn.pad": _pad,
    "relax.reshape": _reshape,
}
# Operators that are checked after the recognizers, which do not see what made a held tensor.
WINDOWED: Table = {
    **{f"relax.nn.conv{n}d": _convolution for n in _RANKS},
    **{f"relax.nn.conv{n}d_transpose": _convolution for n in _RANKS},
    **{f"relax.nn.{kind}_pool{n}d": _pool for kind in ("max", "avg") for n in _RANKS},
}


def _need(call: relax.Expr, table: Table) -> Need | None:
    """The conditions of an operator that are not known to hold, or None.

    Raises
    ------
    QuakeError
        If sizes can never match.
    """
    name = op_name(call)
    if name not in table:
        return None
    if not all(known_shape(a) or isinstance(a, relax.ShapeExpr) for a in call.args):
        return None
    pairs, problem = table[name](call)
    need = Need(pairs, name.rpartition(".")[2], problem).unproven()
    return need if need.within else None


@mutator
class _Checker(PyExprMutator):
    def __init__(self, mod: tvm.IRModule, table: Table) -> None:
        super().__init__(mod)
        self._table = table

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        need = _need(call, self._table)
        if need is None:
            return call
        tensor = held(self.builder_, call.args[0], [need])
        return relax.Call(call.op, [tensor, *call.args[1:]], call.attrs, call.ty_args)


def _concerned(function: relax.Function, table: Table) -> bool:
    found = []
    relax.analysis.post_order_visit(function, lambda e: found.append(_need(e, table) is not None))
    return any(found)


@tvm.transform.module_pass(opt_level=0, name="CheckSizes")
class CheckSizes(Pass):
    """Hold the inputs of a table's operators until checks have passed.

    A module without such operators is unchanged.

    Parameters
    ----------
    table : mapping of str to callable
        ``SHAPED`` or ``WINDOWED``: maps an operator's name to a function that gives its conditions.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions."""
        updates = {
            name: _Checker(mod, self._table).visit_expr(function)
            for name, function in functions(mod)
            if _concerned(function, self._table)
        }
        return updated(mod, updates)
