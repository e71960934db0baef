"""Walk over a function and find what is known of the operand of each norm.

The chain before a norm (products, biases, nonlinearities, attention, residuals) is followed back to
the norms, tables and inputs that it comes from. Knows no scale.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax

from ..passes.relax.graph import Graph, functions, op_name
from ..passes.relax.ops import operator_of
from .bounded import Bounded
from .constants import computed
from .moves import keeps_rows, parts
from .placed import Placed
from .rules import RULES
from .typical import Typical

NORMS = {"relax.nn.layer_norm": "layer_norm", "relax.nn.rms_norm": "rms_norm"}
_VIEWS = {"relax.reshape", "relax.expand_dims", "relax.squeeze", "relax.astype"}


@dataclass(frozen=True)
class Found:
    """A norm along the last axis.

    Attributes
    ----------
    function : str
        The name of the function that it is in.
    operator : str
        ``"layer_norm"`` or ``"rms_norm"``.
    length : int
        The number of elements of a row.
    epsilon : float
    proven, typical : float or None
        The largest and the typical root sum of squares of a row of its operand, if known.
    """

    function: str
    operator: str
    length: int
    epsilon: float
    proven: float | None
    typical: float | None


def walk(mod: tvm.IRModule) -> Iterator[Found]:
    """The norms of a module along the last axis, in its order.

    Parameters
    ----------
    mod : IRModule
        float32, with its norms and nonlinearities recognised.
    """
    for name, function in functions(mod):
        yield from _Walk(name.name_hint, function).norms()


def is_norm(call: relax.Expr) -> bool:
    """Whether this is a norm along the last axis, of known length."""
    if op_name(call) not in NORMS or not isinstance(call.ty, relax.TensorType):
        return False
    rank = call.ty.ndim
    last = [int(a) % rank for a in call.attrs.axes] == [rank - 1]
    return last and hasattr(call.ty.shape[rank - 1], "value")


class _Walk:
    """What is known of the values of one function, each as long as another value needs it."""

    def __init__(self, name: str, function: relax.Function) -> None:
        self.name, self.graph = name, Graph(function)
        self.computed = computed(self.graph)
        self.known: dict[relax.Var, Placed | list[Placed] | None] = {}
        self.inputs = {p for p in _inputs(name, function) if _is_float(p)}

    def norms(self) -> Iterator[Found]:
        values = self.graph.values
        needed = self._needed()
        left = {var: sum(u in needed for u in self.graph.users.get(var, [])) for var in needed}
        for var, value in values.items():
            if var not in needed:
                continue
            if is_norm(value):
                yield self._found(value)
            self.known[var] = self._value(value)
            for operand in relax.analysis.free_vars(value):
                left[operand] = left.get(operand, 0) - 1
                if left[operand] <= 0:
                    self.known.pop(operand, None)

    def _needed(self) -> set[relax.Var]:
        """The norms and all that they depend on."""
        needed: set[relax.Var] = set()
        for var, value in reversed(list(self.graph.values.items())):
            if is_norm(value):
                needed.add(var)
            if var in needed:
                needed |= set(relax.analysis.free_vars(value))
        return needed

    def _found(self, call: relax.Call) -> Found:
        length, x = int(call.ty.shape[-1]), self.placed(call.args[0])
        proven = typical = None
        if x is not None:
            x = x.spread((*x.index.shape[:-1], length))
            rows = x.along_last(lambda known: known)
            proven = None if rows.bounded is None else rows.bounded.length
            typical = None if rows.typical is None else rows.typical.length
        operator = NORMS[op_name(call)]
        proven, typical = (
            size if size is not None and math.isfinite(size) else None for size in (proven, typical)
        )
        return Found(self.name, operator, length, float(call.attrs.epsilon), proven, typical)

    def _value(self, value: relax.Expr) -> Placed | list[Placed] | None:
        if isinstance(value, relax.TupleGetItem):
            split = self.known.get(value.tuple_value)
            return split[value.index] if isinstance(split, list) else None
        name = op_name(value)
        if name == "relax.split":
            return parts(self, value)
        if is_norm(value):
            return self._normal(value)
        return RULES[name](self, value) if name in RULES else None

    def _normal(self, call: relax.Call) -> Placed | None:
        weights = [w for arg in call.args[1:] if (w := self.constant(arg)) is not None]
        if len(weights) < len(call.args) - 1:
            return None
        gamma, beta = [*weights, np.zeros(len(weights[0]))][:2]
        known = Bounded.normal(gamma, beta), Typical.normal(gamma, beta)
        return Placed.last(call.ty.ndim, len(gamma), *known)

    def placed(self, expr: relax.Expr) -> Placed | None:
        """The features of a tensor; None if nothing is known."""
        if expr in self.inputs:  # as inputs are prepared for networks
            unit = Typical(np.ones(1), np.zeros(1))
            return Placed(np.zeros([1] * expr.ty.ndim, int), None, unit)
        found = self.known.get(expr)
        return found if isinstance(found, Placed) else None

    def constant(self, expr: relax.Expr) -> np.ndarray | None:
        """A finite constant in float64, None for other expressions."""
        found = self.graph.constant(self.graph.value(expr))
        if found is None:
            found = self.computed.get(expr)
        return None if found is None or not np.isfinite(found).all() else found.astype(np.float64)

    def mixes(self, expr: relax.Expr) -> bool:
        """Whether rows are weights of a mean: not negative, with the sum 1."""
        call = self.graph.value(expr)
        name = op_name(call)
        if name in _VIEWS and keeps_rows(self, call):
            return self.mixes(call.args[0])
        axis = None
        if operator_of(call) == "softmax" or name == "relax.nn.softmax":
            axis = int(call.attrs["axis"] if operator_of(call) else call.attrs.axis)
        return axis is not None and axis % call.ty.ndim == call.ty.ndim - 1


def _inputs(name: str, function: relax.Function) -> list[relax.Var]:
    """The model's inputs, without weights and without what a branch reads."""
    if name != "main":
        return []
    given = function.attrs.get("num_input") if function.attrs else None
    return list(function.params)[: None if given is None else int(given)]


def _is_float(parameter: relax.Var) -> bool:
    ty = parameter.ty
    return isinstance(ty, relax.TensorType) and str(ty.dtype) == "float32" and ty.ndim > 0
