"""Chains of element-wise operators from one tensor of bytes to another become tables.

A byte has 256 values, so the chain is evaluated on all of them: each step in float64, rounded to
the step's type. Inner quantizations are steps as others. This is exact: for each input the table
has what the steps give. Knows no kernel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm

from quake_tvm.tvm_version import Pass

from ..chain import CLIP, KINDS, options_of
from ..graph import Expr, Site
from .byte_table import look_up
from .graph import Graph, rewrite
from .quantized import BYTES


@dataclass(frozen=True)
class _Function:
    """A value as a function of a tensor of bytes: its values at all bytes, from the smallest."""

    root: Expr
    values: np.ndarray


def _dequantize(call: Any, x: np.ndarray, scale: float, zero: float) -> np.ndarray:
    return (x - zero) * scale


def _quantize(call: Any, x: np.ndarray, scale: float, zero: float) -> np.ndarray:
    limits = np.iinfo(str(call.attrs.out_dtype))
    return np.clip(np.rint(np.float32(x / scale)) + zero, limits.min, limits.max)


def _clip(call: Any, x: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.minimum(np.maximum(x, low), high)


# Operators that are not steps of a float chain. Their functions get the call first.
_OTHERS: dict[str, Callable[..., np.ndarray]] = {
    "dequantize": _dequantize,
    "quantize": _quantize,
    "astype": lambda call, x: x,
    "round": lambda call, x: np.rint(x),
    "floor": lambda call, x: np.floor(x),
    "ceil": lambda call, x: np.ceil(x),
    "nn.leakyrelu": lambda call, x: np.where(x > 0, x, np.float32(call.attrs.alpha) * x),
    CLIP: _clip,
}


class _Chains:
    """The values of a graph that are functions of one tensor of bytes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.found: dict[Expr, _Function] = {}
        for var in graph.values:
            made = self._evaluated(var)
            if made is not None:
                self.found[var] = made

    def _function(self, expr: Expr) -> _Function | None:
        """The operand as a function; bytes that are none of others are one of themselves."""
        if expr in self.found:
            return self.found[expr]
        kind = self.graph.dtype(expr) if self.graph.shape(expr) is not None else ""
        if kind not in BYTES or self.graph.constant(expr) is not None:
            return None
        limits = np.iinfo(kind)
        return _Function(expr, np.arange(limits.min, limits.max + 1, dtype=kind))

    def _evaluated(self, var: Expr) -> _Function | None:
        graph, call = self.graph, self.graph.values[var]
        kind = graph.kind(call)
        if (kind not in KINDS and kind not in _OTHERS) or graph.shape(var) is None:
            return None
        operands: list[Any] = []
        root = None
        limits = graph.limits(call) if kind == CLIP else None
        for arg in graph.args(var)[: 1 if kind == CLIP else None]:
            number = graph.scalar(arg)
            if number is not None:
                operands.append(np.float64(number))
                continue
            made = self._function(arg)
            if made is None or (root is not None and not made.root.same_as(root)):
                return None
            root = made.root
            operands.append(made.values.astype(np.float64))
        if kind == CLIP:
            operands += limits or (np.nan, np.nan)
        if root is None or not graph.same_shape(var, root):
            return None
        with np.errstate(all="ignore"):
            if kind in _OTHERS:
                values = _OTHERS[kind](call, *operands)
            else:
                values = KINDS[kind](*operands, *options_of(kind, call))
            dtype = graph.dtype(var)
            if dtype not in ("float32", "bool") and not np.all(np.isfinite(values)):
                return None
            return _Function(root, np.broadcast_to(values, 256).astype(dtype))

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


def _needed(graph: Graph, found: dict[Expr, _Function]) -> set[Expr]:
    """The values of chains that other code reads, or that such values which are no bytes read.

    Bytes read their chain's root alone.
    """
    needed: set[Expr] = set()
    for var in reversed(found):
        for user in graph.users.get(var, []):
            outside = user not in found
            if outside or (user in needed and graph.dtype(user) not in BYTES):
                needed.add(var)
    return needed


def _find(graph: Graph) -> list[Site]:
    chains = _Chains(graph)
    sites = []
    for var in _needed(graph, chains.found):
        made = chains.found[var]
        if graph.dtype(var) not in BYTES:
            continue
        region = chains.region(var)
        names = "+".join(graph.kind(graph.values[each]) for each in region)
        attributes = {"table": made.values}
        sites.append(Site(var, "table", (made.root,), names, frozenset(region), attributes))
    return sites


def _make(site: Site) -> Expr:
    return look_up(site.args[0], site.attributes["table"], site.source)


@tvm.transform.module_pass(opt_level=0, name="RecognizeTables")
class RecognizeTables(Pass):
    """Replace every chain between two tensors of bytes by one table.

    Each operator of the chain has one tensor, several that are functions of the same bytes, or
    constants of equal elements besides.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. The longest chains are taken."""
        return rewrite(mod, _find, _make)
