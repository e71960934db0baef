"""What the operators of Relax compute of the features of a tensor, a rule an operator.

Knows no norm and no scale.
"""

from functools import partial

import numpy as np
from tvm import relax

from ..numerics import reference
from ..numerics.operators import OPERATORS
from ..passes.relax.ops import PREFIX, attributes_of, operator_of
from . import moves
from .bounded import Bounded
from .known import Known, Rule
from .moves import fitted, together
from .placed import Placed
from .typical import Typical


def _vector(x: Placed, constant: np.ndarray) -> tuple[Placed, np.ndarray]:
    """The features, and a constant's element for each: (n,) if rows have the same, else (m, n)."""
    rank = x.index.ndim
    constant = constant.reshape([1] * (rank - constant.ndim) + list(constant.shape))
    of_rows = [a for a in range(rank) if x.index.shape[a] == 1]
    along = [a for a in range(rank) if a not in of_rows]
    here = [constant.shape[a] if a in of_rows else x.index.shape[a] for a in range(rank)]
    table = np.transpose(np.broadcast_to(constant, here), [*of_rows, *along])
    table = table.reshape(-1, x.index.size)
    return x.settled(), table[0] if (table == table[0]).all() else table


def _sum(known: Known, call: relax.Call, sign: float) -> Placed | None:
    """a + b or a - b."""
    a, b = call.args
    constant = known.constant(b)
    if constant is None and known.constant(a) is not None:
        x, constant = known.placed(b), known.constant(a)
        x = None if x is None else x.each(lambda one: one.scaled(np.full(len(one), sign)))
    else:
        x, constant = known.placed(a), None if constant is None else sign * constant
    if x is None:
        return None
    x = fitted(x, call.ty.ndim)
    if constant is not None:
        x, values = _vector(x, constant)
        if values.ndim == 1:
            return x.each(lambda one: one.shifted(values))
        return x.each(lambda one: one.plus(type(one).rows(values)))
    other = known.placed(b)
    if other is None:
        return None
    x, y = together(x, fitted(other, call.ty.ndim))
    y = y.each(lambda one: one.scaled(np.full(len(one), sign)))
    return x.both(y, lambda one, two: one.plus(two))


def _multiply(known: Known, call: relax.Call) -> Placed | None:
    a, b = call.args
    for tensor, factor in ((a, b), (b, a)):
        x, constant = known.placed(tensor), known.constant(factor)
        if x is not None and constant is not None:
            return _scaled(fitted(x, call.ty.ndim), constant)
    x, y = known.placed(a), known.placed(b)
    if x is None or y is None:
        return None
    x, y = together(fitted(x, call.ty.ndim), fitted(y, call.ty.ndim))
    return x.both(y, lambda one, two: one.times(two))


def _divide(known: Known, call: relax.Call) -> Placed | None:
    x, constant = known.placed(call.args[0]), known.constant(call.args[1])
    if x is None or constant is None or not constant.all():
        return None
    return _scaled(fitted(x, call.ty.ndim), 1 / constant)


def _scaled(x: Placed, factors: np.ndarray) -> Placed | None:
    x, values = _vector(x, factors)
    return x.each(lambda one: one.scaled(values)) if values.ndim == 1 else None


def _negative(known: Known, call: relax.Call) -> Placed | None:
    x = known.placed(call.args[0])
    return None if x is None else _scaled(x, np.array(-1.0))


def _matmul(known: Known, call: relax.Call) -> Placed | None:
    a, b = call.args
    weight = known.constant(b)
    if weight is not None:
        x = known.placed(a)
        while weight.ndim > 2 and weight.shape[0] == 1:
            weight = weight[0]
        if x is None or weight.ndim != 2 or x.index.shape[-1] != weight.shape[0]:
            return None
        return fitted(x.along_last(lambda one: one.linear(weight)), call.ty.ndim)
    x = known.placed(b) if known.mixes(a) else None
    if x is None or x.index.ndim < 2 or x.index.shape[-2] != 1:
        return None
    return fitted(x, call.ty.ndim).mixed()


def _convolution(known: Known, call: relax.Call) -> Placed | None:
    """Windows of features that are the same everywhere: what is typical, and nothing proven."""
    x, weight = known.placed(call.args[0]), known.constant(call.args[1])
    first = call.attrs.data_layout[:2] == "NC" and call.attrs.kernel_layout[:2] == "OI"
    if x is None or x.typical is None or weight is None or not first or call.attrs.groups != 1:
        return None
    index = np.broadcast_to(x.index, (1, weight.shape[1], *[1] * (weight.ndim - 2))).ravel()
    inner = x.typical.taken(index)
    window = np.moveaxis(weight.reshape(*weight.shape[:2], -1), 1, 2)
    mean = (window @ inner.mean).sum(axis=1)
    square = mean**2 + (window**2 @ inner.variances).sum(axis=1)
    shape = [1, len(mean)] + [1] * (weight.ndim - 2)
    return Placed(np.arange(len(mean)).reshape(shape), None, Typical.moments(mean, square))


# Functions with |f(t)| <= |t|, functions with |f(t)| <= 1, and both.
_CONTRACTS = {"silu", "gelu", "gelu_tanh", "gelu_quick", "mish", "elu", "celu"}
_WITHIN_ONE = {"sigmoid", "erf"}


def _bounded(name: str, x: Bounded, numbers: dict[str, float]) -> Bounded | None:
    """What is proven of a nonlinearity of the registry."""
    if name == "tanh":
        return x.contracted(1.0)
    if name in _WITHIN_ONE:
        return x.within(1.0)
    gentle = 0 < numbers.get("alpha", 1.0) <= 1 and numbers.get("beta", 1.0) > 0
    return x.contracted() if name in _CONTRACTS and gentle else None


def _nonlinearity(known: Known, call: relax.Call) -> Placed | None:
    name, x = str(operator_of(call)), known.placed(call.args[0])
    formula = OPERATORS[name].reference
    if x is None or formula is None:
        return None
    numbers = dict(attributes_of(call).numbers)
    scale, shift = numbers.pop("scale", 1.0), numbers.pop("shift", 0.0)
    x = x.each(lambda one: one.scaled(np.full(len(one), scale)))
    x = x.each(lambda one: one.shifted(np.full(len(one), shift)))

    def exact(t: np.ndarray) -> np.ndarray:
        return formula(reference.NUMPY, t, **numbers)

    bounded = None if x.bounded is None else _bounded(name, x.bounded, numbers)
    typical = None if x.typical is None else x.typical.mapped(exact)
    return Placed(x.index, bounded, typical)


def _relu(known: Known, call: relax.Call) -> Placed | None:
    x = known.placed(call.args[0])
    if x is None:
        return None
    bounded = None if x.bounded is None else x.bounded.contracted()
    typical = None if x.typical is None else x.typical.mapped(lambda t: np.maximum(t, 0))
    return Placed(x.index, bounded, typical)


RULES: dict[str, Rule] = {
    **moves.RULES,
    **{PREFIX + name: _nonlinearity for name in OPERATORS},
    "relax.add": partial(_sum, sign=1.0),
    "relax.divide": _divide,
    "relax.matmul": _matmul,
    "relax.multiply": _multiply,
    "relax.negative": _negative,
    "relax.nn.conv1d": _convolution,
    "relax.nn.conv2d": _convolution,
    "relax.nn.conv3d": _convolution,
    "relax.nn.relu": _relu,
    "relax.subtract": partial(_sum, sign=-1.0),
}
