"""Limits of sizes that torch derives from its assumption that every size is at least 2.

The export assumes this of sizes and does not check it. A length of a mask that is past + new
positions therefore gets the lower limit 4. Knows no program.
"""

from collections.abc import Iterable

import sympy

# The least size in torch.export's reasoning.
LEAST = 2


def follows(symbol: sympy.Symbol, limit: int, conditions: Iterable[sympy.Expr]) -> bool:
    """Whether a condition gives the size this lower limit if all others are at least 2.

    Parameters
    ----------
    symbol : sympy.Symbol
    limit : int
    conditions : iterable of sympy.Expr
        Conditions of the program, which runs check. Only linear ones are understood.
    """
    sides = [side for condition in conditions for side in _sides(condition)]
    bounds = [_lower(symbol, term, least) for term, least in sides]
    return any(bound is not None and bound >= limit for bound in bounds)


def _sides(condition: sympy.Expr) -> list[tuple[sympy.Expr, int]]:
    """The condition as terms and what each is at least, for whole numbers."""
    match condition:
        case sympy.Ge() | sympy.Gt():
            return [(condition.lhs - condition.rhs, int(isinstance(condition, sympy.Gt)))]
        case sympy.Le() | sympy.Lt():
            return [(condition.rhs - condition.lhs, int(isinstance(condition, sympy.Lt)))]
        case sympy.Eq():
            difference = condition.lhs - condition.rhs
            return [(difference, 0), (-difference, 0)]
    return []


def _lower(symbol: sympy.Symbol, term: sympy.Expr, least: int) -> sympy.Expr | None:
    """What symbol is at least if term >= least, and if all other sizes are at least 2."""
    factors = sympy.expand(term).as_coefficients_dict()
    own = factors.pop(symbol, 0)
    number = factors.pop(sympy.S.One, 0)
    linear = all(isinstance(each, sympy.Symbol) for each in factors)
    if not factors:
        return None  # the condition itself is the limit
    if not linear or own <= 0 or any(factor > 0 for factor in factors.values()):
        return None
    return (least - number - LEAST * sum(factors.values())) / own
