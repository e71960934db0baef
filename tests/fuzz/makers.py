"""The table of makers of nodes: one function for all operators with the same operands."""

from collections.abc import Callable

import numpy as np

from .graph import Graph

Maker = Callable[[Graph, str], object]
# Operator (or the name of a group of nodes) to its maker and its weight.
MAKERS: dict[str, tuple[Maker, float]] = {}


def makes(*operators: str, weight: float = 1.0) -> Callable[[Maker], Maker]:
    """Register a maker for these operators. A maker adds nodes or raises :class:`Skip`."""

    def enter(maker: Maker) -> Maker:
        assert not MAKERS.keys() & set(operators)
        MAKERS.update(dict.fromkeys(operators, (maker, weight)))
        return maker

    return enter


def axis_of(g: Graph, value: np.ndarray) -> int:
    """A valid axis, counted from the front or from the back."""
    axis = g.integer(0, value.ndim - 1)
    return axis - value.ndim if g.chance(0.5) else axis


def scalar(g: Graph, value: float, dtype: type = np.float32) -> str:
    """A constant of rank 0."""
    return g.constant(value, dtype)
