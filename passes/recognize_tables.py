"""Chains of element-wise operators from one tensor of integers to another become tables.

A byte has 256 values, and an integer of 16 bits 65,536. So a chain is evaluated on all of them:
each step in float64, rounded to the step's type. Inner quantizations are steps as others. This is
exact: for each input the table has what the steps give. Knows neither Relax nor Relay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .chain import CLIP, KINDS, options_of
from .graph import Expr, Graph, Site

BYTES = ("int8", "uint8")
WORDS = ("int16", "uint16")
# Up to this, float64 has the results of all steps between integers.
_EXACT = 2.0**53
# A step of a chain that is no step of a float chain: its function gets the call first.
_Step = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Kinds:
    """The names of a dialect's operators that are steps here, and no steps of a float chain.

    ``rounded`` is how the dialect rounds.
    """

    dequantize: str
    quantize: str
    cast: str
    leaky_relu: str
    rounded: Callable[[np.ndarray], np.ndarray] = np.rint

    def steps(self) -> dict[str, _Step]:
        """What these operators compute, and others that both dialects give the same name."""
        return {
            self.dequantize: _dequantize,
            self.quantize: self._quantize,
            self.cast: lambda call, x: x,
            self.leaky_relu: lambda call, x: np.where(x > 0, x, np.float32(call.attrs.alpha) * x),
            "round": lambda call, x: self.rounded(x),
            "floor": lambda call, x: np.floor(x),
            "ceil": lambda call, x: np.ceil(x),
            CLIP: lambda call, x, low, high: np.minimum(np.maximum(x, low), high),
        }

    def _quantize(self, call: Any, x: np.ndarray, scale: float, zero: float) -> np.ndarray:
        limits = np.iinfo(str(call.attrs.out_dtype))
        steps = np.asarray(x / scale, np.float32)
        return np.clip(self.rounded(steps) + zero, limits.min, limits.max)


@dataclass(frozen=True)
class _Function:
    """A value as a function of a tensor of integers: its values at all of them, in order."""

    root: Expr
    values: np.ndarray


def _dequantize(call: Any, x: np.ndarray, scale: float, zero: float) -> np.ndarray:
    return (x - zero) * scale


class _Chains:
    """The values of a graph that are functions of one tensor of integers of these types."""

    def __init__(self, graph: Graph, kinds: Kinds, types: tuple[str, ...]) -> None:
        self.graph, self.others, self.types = graph, kinds.steps(), types
        self.found: dict[Expr, _Function] = {}
        for var in graph.values:
            made = self._evaluated(var)
            if made is not None:
                self.found[var] = made

    def _function(self, expr: Expr) -> _Function | None:
        """The operand as a function; integers that are none of others are one of themselves."""
        if expr in self.found:
            return self.found[expr]
        kind = self.graph.dtype(expr) if self.graph.shape(expr) is not None else ""
        if kind not in self.types or self.graph.constant(expr) is not None:
            return None
        limits = np.iinfo(kind)
        return _Function(expr, np.arange(limits.min, limits.max + 1, dtype=kind))

    def _evaluated(self, var: Expr) -> _Function | None:
        graph, call = self.graph, self.graph.values[var]
        kind = graph.kind(call)
        if (kind not in KINDS and kind not in self.others) or graph.shape(var) is None:
            return None
        operands: list[Any] = []
        root, count = None, 0
        limits = graph.limits(call) if kind == CLIP else None
        for arg in graph.args(var)[: 1 if kind == CLIP else None]:
            number = graph.scalar(arg)
            if number is not None:
                operands.append(np.float64(number))
                continue
            made = self._function(arg)
            if made is None or (root is not None and not made.root.same_as(root)):
                return None
            root, count = made.root, len(made.values)
            operands.append(made.values.astype(np.float64))
        if kind == CLIP:
            operands += limits or (np.nan, np.nan)
        if root is None or not graph.same_shape(var, root):
            return None
        with np.errstate(all="ignore"):
            if kind in self.others:
                values = self.others[kind](call, *operands)
            else:
                values = KINDS[kind](*operands, *options_of(kind, call))
            dtype = graph.dtype(var)
            if "int" in dtype:
                if not np.all(np.abs(values) <= _EXACT):  # nor NaN
                    return None
                values = np.asarray(values).astype(np.int64)  # from which they wrap around
            return _Function(root, np.broadcast_to(values, count).astype(dtype))

    def region(self, var: Expr) -> list[Expr]:
        """The steps of the chain that ends with ``var``, in the graph's order."""
        inside: set[Expr] = set()
        left = [var]
        while left:
            each = left.pop()
            if each not in self.found or each in inside:
                continue
            inside.add(each)
            left += self.graph.args(each)
        return [each for each in self.found if each in inside]


def find(graph: Graph, kinds: Kinds, approximated: bool = False) -> list[Site]:
    """The longest chains of a function from integers to integers, one site each.

    A site's attributes are ``table``, the outputs at all inputs from the smallest, and ``real``:
    whether the chain has steps of real numbers.

    Parameters
    ----------
    graph : Graph
    kinds : Kinds
    approximated : bool
        Whether chains of real numbers may have inputs or outputs of 16 bits.
    """
    types = BYTES + WORDS if approximated else BYTES
    chains = _Chains(graph, kinds, types)
    sites = []
    for var in _needed(graph, chains.found, types):
        made = chains.found[var]
        if graph.dtype(var) not in types:
            continue
        region = chains.region(var)
        real = any(graph.dtype(each) == "float32" for each in region)
        if not real and {graph.dtype(var), graph.dtype(made.root)} - set(BYTES):
            continue
        names = "+".join(graph.kind(graph.values[each]) for each in region)
        attributes = {"table": made.values, "real": real}
        sites.append(Site(var, "table", (made.root,), names, frozenset(region), attributes))
    return sites


def _needed(graph: Graph, found: dict[Expr, _Function], types: tuple[str, ...]) -> set[Expr]:
    """The values of chains that other code reads, or that such values which are no integers read.

    Integers read their chain's root alone.
    """
    needed: set[Expr] = set()
    for var in reversed(found):
        for user in graph.users.get(var, []):
            outside = user not in found
            if outside or (user in needed and graph.dtype(user) not in types):
                needed.add(var)
    return needed
