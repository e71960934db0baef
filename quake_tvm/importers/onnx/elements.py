"""Arithmetic on one element of a small tensor that is computed from extents.

An element is a Python number, or an expression over extents: of 64-bit integers, or a condition.
An element of a float tensor that varies is a :class:`Quotient`. Every function returns None for
what it cannot compute exactly. Knows no tensor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, isfinite
from typing import TypeAlias

import tvm
from tvm import tirx

from .extents import Extent, Extents, expression, number, plain


@dataclass(frozen=True)
class Quotient:
    """A float that varies with the extents: an integer over a positive constant, rounded once.

    The integer is within ±2^24, so it is a float32 itself, and no quotient rounds up to an integer.
    """

    top: Extent
    bottom: int = 1

    @property
    def exact(self) -> bool:
        """Whether it is not rounded."""
        return self.bottom & (self.bottom - 1) == 0


Element: TypeAlias = int | float | tvm.ir.Expr | Quotient
Operator = Callable[..., Element | None]
# All integers up to this one are float32 numbers.
_WHOLE = 2**24
# A constant factor of more bits than this would leave too few bits for the extents.
_FACTOR = 2**12


def varies(element: Element) -> bool:
    """Whether the element depends on extents."""
    return isinstance(element, tvm.ir.Expr | Quotient)


def quotient(extents: Extents, top: Extent, bottom: int = 1) -> Quotient | None:
    """A float, if the model can have the condition that its numerator is small enough."""
    top = extents.simplify(top)
    common = gcd(top, bottom) if isinstance(top, int) else 1
    if isinstance(top, int):
        top //= common
        bottom //= common
    if not (extents.at_most(top, _WHOLE) and extents.at_least(top, -_WHOLE)):
        return None
    return Quotient(top, bottom)


def _float(extents: Extents, value: Element) -> Quotient | None:
    """An element of a float tensor as a quotient."""
    if isinstance(value, Quotient):
        return value
    try:
        fraction = Fraction(value)
    except (ValueError, OverflowError):  # NaN and infinities
        return None
    return quotient(extents, fraction.numerator, fraction.denominator)


def _floats(extents: Extents, a: Element, b: Element) -> tuple[Extent, Extent, int] | None:
    """Two exact floats over one denominator."""
    one, other = _float(extents, a), _float(extents, b)
    if one is None or other is None or not (one.exact and other.exact):
        return None
    bottom = max(one.bottom, other.bottom)
    return one.top * (bottom // one.bottom), other.top * (bottom // other.bottom), bottom


def _arithmetic(name: str) -> Operator:
    def apply(extents: Extents, a: Element, b: Element) -> Element | None:
        if isinstance(a, Quotient | float) or isinstance(b, Quotient | float):
            both = _floats(extents, a, b)
            return both and quotient(extents, _INTEGERS[name](extents, *both[:2]), both[2])
        return _INTEGERS[name](extents, a, b)

    return apply


_INTEGERS: dict[str, Callable[[Extents, Extent, Extent], Extent]] = {
    "Add": lambda extents, a, b: extents.simplify(a + b),
    "Sub": lambda extents, a, b: extents.simplify(a - b),
    "Min": lambda extents, a, b: extents.least(a, b),
    "Max": lambda extents, a, b: extents.most(a, b),
}


def multiply(extents: Extents, a: Element, b: Element) -> Element | None:
    """The product."""
    if not isinstance(a, Quotient | float) and not isinstance(b, Quotient | float):
        return extents.simplify(a * b)
    one, other = _float(extents, a), _float(extents, b)
    if one is None or other is None or not (one.exact and other.exact):
        return None
    if any(isinstance(q.top, int) and abs(q.top) > _FACTOR for q in (one, other)):
        return None
    return quotient(extents, one.top * other.top, one.bottom * other.bottom)


def divide(extents: Extents, a: Element, b: Element) -> Element | None:
    """The quotient; that of integers is truncated."""
    if isinstance(a, Quotient | float) or isinstance(b, Quotient | float):
        one, other = _float(extents, a), _float(extents, b)
        if one is None or other is None or not one.exact or not isinstance(other.top, int):
            return None
        if not 0 < abs(other.top) <= _FACTOR or other.bottom > _FACTOR:
            return None
        sign = 1 if other.top > 0 else -1
        return quotient(extents, one.top * other.bottom * sign, one.bottom * abs(other.top))
    if not _positive(extents, b):
        return None
    if extents.proves(a >= 0):
        return extents.simplify(a // b)
    return extents.simplify(tirx.truncdiv(expression(a), expression(b)))


def modulo(extents: Extents, a: Element, b: Element, like_c: bool = False) -> Element | None:
    """The remainder of integers, with the divisor's sign, or as in C with the dividend's."""
    if isinstance(a, Quotient | float) or isinstance(b, Quotient | float):
        return None
    if not _positive(extents, b):
        return None
    if like_c and not extents.proves(a >= 0):
        return extents.simplify(tirx.truncmod(expression(a), expression(b)))
    return extents.simplify(a % b)


def _positive(extents: Extents, divisor: Extent) -> bool:
    """Whether a divisor is at least 1, if need be by a condition of the model."""
    return extents.at_least(divisor, 1)


def power(extents: Extents, a: Element, b: Element) -> Element | None:
    """A small constant power."""
    if not isinstance(b, int | float) or b not in (0, 1, 2, 3, 4):
        return None
    result: Element | None = 1.0 if isinstance(a, Quotient | float) else 1
    for _ in range(int(b)):
        result = result if result is None else multiply(extents, result, a)
    return result


def negative(extents: Extents, a: Element) -> Element | None:
    """The negated number."""
    if isinstance(a, Quotient):
        return Quotient(extents.simplify(-a.top), a.bottom)
    return extents.simplify(-a) if isinstance(a, tvm.ir.Expr) else -a


def absolute(extents: Extents, a: Element) -> Element | None:
    """The number without its sign."""
    if isinstance(a, Quotient):
        return Quotient(extents.most(a.top, extents.simplify(-a.top)), a.bottom)
    return extents.most(a, extents.simplify(-a)) if isinstance(a, tvm.ir.Expr) else abs(a)


def floor(extents: Extents, a: Element) -> Element | None:
    """The next lower integer, as a float."""
    one = _float(extents, a)
    return one and Quotient(extents.simplify(one.top // one.bottom))


def ceil(extents: Extents, a: Element) -> Element | None:
    """The next higher integer, as a float."""
    one = _float(extents, a)
    return one and Quotient(extents.simplify(-(-one.top // one.bottom)))


def round_(extents: Extents, a: Element) -> Element | None:
    """The nearest integer, for floats that are integers."""
    one = _float(extents, a)
    return one if one is not None and one.bottom == 1 else None


def compare(condition: Callable[[tvm.ir.Expr, tvm.ir.Expr], tvm.ir.Expr]) -> Operator:
    """A comparison by the condition that it makes of two expressions."""

    def apply(extents: Extents, a: Element, b: Element) -> Element | None:
        if isinstance(a, Quotient | float) or isinstance(b, Quotient | float):
            both = _floats(extents, a, b)
            if both is None:
                return None
            a, b = both[:2]
        elif _is_condition(a) or _is_condition(b):
            return None
        wanted = condition(expression(a), expression(b))
        decided = extents.decided(wanted)
        return wanted if decided is None else decided

    return apply


def _is_condition(a: Element) -> bool:
    return isinstance(a, bool) or (isinstance(a, tvm.ir.Expr) and str(a.ty.dtype) == "bool")


def both(extents: Extents, a: Element, b: Element) -> Element:
    """Whether both conditions hold."""
    if isinstance(a, bool) or isinstance(b, bool):
        known, other = (a, b) if isinstance(a, bool) else (b, a)
        return other if known else False
    return tirx.And(a, b)


def either(extents: Extents, a: Element, b: Element) -> Element:
    """Whether one of two conditions holds."""
    return opposite(extents, both(extents, opposite(extents, a), opposite(extents, b)))


def opposite(extents: Extents, a: Element) -> Element:
    """Whether a condition does not hold."""
    if isinstance(a, bool):
        return not a
    return a.a if isinstance(a, tirx.Not) else tirx.Not(a)


def where(extents: Extents, condition: Element, a: Element, b: Element) -> Element | None:
    """The first of two elements if the condition holds, else the second."""
    if isinstance(condition, bool):
        return a if condition else b
    if _is_condition(a) or _is_condition(b):
        kept = both(extents, condition, a)
        return either(extents, kept, both(extents, opposite(extents, condition), b))
    if isinstance(a, Quotient | float) or isinstance(b, Quotient | float):
        pair = _floats(extents, a, b)
        return pair and Quotient(_select(condition, *pair[:2]), pair[2])
    return extents.simplify(_select(condition, a, b))


def _select(condition: tvm.ir.Expr, a: Extent, b: Extent) -> tvm.ir.Expr:
    return tirx.Select(condition, expression(a), expression(b))


def cast(extents: Extents, a: Element, kind: str) -> Element | None:
    """The element as a NumPy kind of number: ``i``, ``b`` or ``f``."""
    if kind == "b":
        return a if _is_condition(a) else compare(tirx.NE)(extents, a, 0)
    if isinstance(a, tvm.ir.Expr) and _is_condition(a):
        a = _select(a, 1, 0)
    if kind == "f":
        return a if isinstance(a, Quotient | float) else quotient(extents, plain(a))
    if isinstance(a, float):
        return int(a) if isfinite(a) else None
    if not isinstance(a, Quotient):
        return int(a) if isinstance(a, int) else a
    if extents.proves(a.top >= 0):
        return extents.simplify(a.top // a.bottom)
    return extents.simplify(tirx.truncdiv(expression(a.top), number(a.bottom)))


# The operators that compute each element from the elements at its place.
OPERATORS: dict[str, Operator] = {
    **{name: _arithmetic(name) for name in _INTEGERS},
    "Abs": absolute,
    "And": both,
    "Ceil": ceil,
    "Div": divide,
    "Equal": compare(tirx.EQ),
    "Floor": floor,
    "Greater": compare(tirx.GT),
    "GreaterOrEqual": compare(tirx.GE),
    "Less": compare(tirx.LT),
    "LessOrEqual": compare(tirx.LE),
    "Mul": multiply,
    "Neg": negative,
    "Not": opposite,
    "Or": either,
    "Pow": power,
    "Round": round_,
    "Where": where,
}
