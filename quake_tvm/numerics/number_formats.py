"""The number formats that tensors are stored in, and how they become float32 and back.

All formulas compute in float32. A kernel widens what it loads and narrows what it stores. The
conversions here are right for every NaN, subnormal number and overflow, which TVM's own casts of
bfloat16 are not. Knows no operator and no target.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..tvm_version import RELAY, Expr, dtype_of, tir


@dataclass(frozen=True)
class NumberFormat:
    """A format of numbers in memory.

    Attributes
    ----------
    name : str
        The dtype.
    widen : callable
        Takes an expression of this dtype and returns the float32 of the same value.
    narrow : callable
        Takes a float32 expression and returns the nearest value of this dtype, the even one of two
        equally near. A NaN stays a NaN.
    rounding : float
        The largest relative error of ``narrow`` for normal numbers.
    least : float
        The largest absolute error of ``narrow`` for subnormal numbers.
    """

    name: str
    widen: Callable[[Expr], Expr]
    narrow: Callable[[Expr], Expr]
    rounding: float
    least: float


def _widen_bfloat16(x: Expr) -> Expr:
    """The 16 bits are the upper half of the float32's."""
    bits = tir.Cast("uint32", tir.reinterpret("uint16", x))
    return tir.reinterpret("float32", bits << tir.const(16, "uint32"))


def _narrow_bfloat16(x: Expr) -> Expr:
    # Boards load this module into a TVM that only runs models, and has no operators.
    from . import pair_instructions  # noqa: F401  (compiles the narrowing)
    from .bfloat16_pairs import narrowed

    return tir.reinterpret("bfloat16", narrowed(x))


def _same(x: Expr) -> Expr:
    return x


# The format that formulas compute in.
COMPUTED = "float32"
_FLOAT16 = (lambda x: tir.Cast(COMPUTED, x)), (lambda x: tir.Cast("float16", x))
FORMATS = {
    COMPUTED: NumberFormat(COMPUTED, _same, _same, 0.0, 0.0),
    "float16": NumberFormat("float16", *_FLOAT16, 2.0**-11, 2.0**-25),
    "bfloat16": NumberFormat("bfloat16", _widen_bfloat16, _narrow_bfloat16, 2.0**-8, 2.0**-134),
}
if RELAY:  # its TVM cannot compute a softmax of bfloat16 tensors, nor cast them right
    del FORMATS["bfloat16"]


def widen(x: Expr) -> Expr:
    """The float32 of the same value as an expression of any of these formats."""
    return FORMATS[dtype_of(x)].widen(x)


# The formats of fewer bits than float32.
HALVES = frozenset(FORMATS) - {COMPUTED}
