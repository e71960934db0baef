"""Operators of torch as other operators of torch. Knows nothing of TVM."""

from . import (  # noqa: F401  they enter their operators in the table
    bags,
    bits,
    distances,
    grids,
    layers,
    moments,
    orders,
    pools,
    products,
    ranges,
    rounding,
    scans,
    special,
    views,
)
from .table import DECOMPOSITIONS, overload

__all__ = ["DECOMPOSITIONS", "overload"]
