"""Check that a chain equals an operator for every float32 input, guards included.

The definition of equal. The chain's value in real numbers is compared with the operator's on the
grid ``_GRID``: every binade of both signs, subnormals, and a fine grid where exponentials change.
They are also compared near the inputs where the behaviour of the chain may change. These are the
zeros of the sum and of the difference of a step's operands. For steps in ``_DECISIONS`` they are
also the inputs where these come closest to zero. All of these inputs are found to the last bit, and
compared at distances of 2^k ulp. So every threshold, limit and epsilon is tested where it has an
effect. A difference is accepted

- up to the error that :mod:`tracked` bounds: a float32 constant stands for a real number near it;
- up to 2^-25 of the value, a quarter of an ulp, which the chain's own float32 result cannot show;
- up to 2^-150, which no float32 number can show.

Some chains overflow or underflow in a step where the operator does not: exp(x)/(1 + exp(x)) does
from 88.7. Such a chain is replaced if its float32 result there is infinite, NaN, or the operator's
value. It is not replaced if a limit or a ``where`` turns the result into another number. At the
infinities and at NaN the condition is the same. The sign of a zero is not compared.

This is a search, not interval arithmetic. It assumes that steps are piecewise smooth and few.
"""

from collections.abc import Callable

import numpy as np

from .chain import Chain, Number
from .tracked import Arithmetic, Tracked

Function = Callable[[np.ndarray], np.ndarray]

_RELATIVE, _ABSOLUTE = 2.0**-25, 2.0**-150
# The difference that an underflow in a step may cause. If a limit then turns the result into
# another number, the difference is larger.
_LOST_RELATIVE, _LOST_ABSOLUTE = 2.0**-20, 2.0**-100
_REAL = Arithmetic()
# Limits beyond which numbers round to inf and to 0: halfway between the largest float32 and 2^128,
# and half of the smallest float32.
_FLOAT32 = Arithmetic((2 - 2.0**-24) * 2.0**127, 2.0**-150)
_LARGEST = int(np.float32(np.finfo(np.float32).max).view(np.int32))
# Steps whose branch may change for only a few inputs.
_DECISIONS = (
    "abs",
    "nn.relu",
    "maximum",
    "minimum",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
)
# Distances in ulp from an input where the chain may change its behaviour.
_NEAR = np.array([0, *(s * 2**k for k in range(26) for s in (1, -1))])


def _ordinal(x: np.ndarray) -> np.ndarray:
    """Number the float32 values in ascending order, 0 for zero."""
    bits = x.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _numbers(ordinal: np.ndarray) -> np.ndarray:
    """The float32 values with these ordinals, as float64."""
    ordinal = np.clip(ordinal, -_LARGEST, _LARGEST)
    return np.copysign(np.abs(ordinal).astype(np.int32).view(np.float32), ordinal).astype(float)


def _grid() -> np.ndarray:
    """Ordinals of the grid, ascending."""
    binades = np.arange(0, _LARGEST + 1, 1 << 21)
    subnormals = 2 ** np.arange(23)
    reach = [np.linspace(0, 12, 241) + 1e-3, np.linspace(12, 120, 433)]
    positive = np.concatenate([binades, subnormals, [_LARGEST], *map(_ordinal, reach)])
    return np.unique(np.concatenate([-positive, positive]))


_GRID = _grid()


def _steps(chain: Chain, x: np.ndarray, arithmetic: Arithmetic) -> list[Tracked]:
    """The input and the value of every step."""
    values = [arithmetic.exact(x)]
    for step in chain:
        args = [
            arithmetic.number(a.value) if isinstance(a, Number) else values[a] for a in step.args
        ]
        method = getattr(arithmetic, step.kind.removeprefix("nn."))
        values.append(method(*args, *step.options))
    return values


def _watched(chain: Chain, ordinal: np.ndarray) -> np.ndarray:
    """Two rows for each step, whose zeros and minima are where the chain may change its behaviour.

    They are the sum and the difference of the step's last two operands. A step with one operand has
    its value and this operand.
    """
    values = _steps(chain, _numbers(ordinal), _REAL)
    rows = []
    for step, value in zip(chain, values[1:], strict=True):
        args = [_REAL.number(a.value) if isinstance(a, Number) else values[a] for a in step.args]
        if len(args) == 1:
            rows += [value, args[0]]
        else:
            rows += [_REAL.add(*args[-2:]), _REAL.subtract(*args[-2:])]
    return np.stack([np.broadcast_to(row.high, ordinal.shape) for row in rows])


def _events(chain: Chain) -> np.ndarray:
    """Ordinals of the zeros and minima of the watched rows."""
    rows = _watched(chain, _GRID)
    sign, size = _sign(rows), np.abs(rows)
    middle, left, right = size[:, 1:-1], size[:, :-2], size[:, 2:]
    turns = (middle < left) & (middle < right) & (sign[:, :-2] == sign[:, 2:])
    decides = np.repeat([step.kind in _DECISIONS for step in chain], 2)
    turns &= decides[:, None]
    changes = _bisected(chain, *np.nonzero(sign[:, :-1] != sign[:, 1:]))
    return np.unique(np.concatenate([changes, _turning(chain, *np.nonzero(turns))]))


def _sign(rows: np.ndarray) -> np.ndarray:
    """-1, 0 or 1, and 2 for NaN, so that NaN equals itself."""
    return np.nan_to_num(np.sign(rows), nan=2.0)


def _bisected(chain: Chain, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The ordinals between two neighbours of the grid at which a row changes its sign."""
    low, high = _GRID[place], _GRID[place + 1]
    columns = np.arange(len(place))
    at_low = _sign(_watched(chain, low))[row, columns]
    while np.any(high - low > 1):
        middle = (low + high) // 2
        same = _sign(_watched(chain, middle))[row, columns] == at_low
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.concatenate([low, high])


def _turning(chain: Chain, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The ordinals, next to a point of the grid, at which a row is closest to zero."""
    low, high = _GRID[place], _GRID[place + 2]
    columns = np.arange(len(place))
    while np.any(high - low > 2):
        third = (high - low) // 3
        left, right = low + third, high - third
        sizes = np.abs(_watched(chain, np.concatenate([left, right])))
        nearer = sizes[row, columns] < sizes[row, columns + len(place)]
        low, high = np.where(nearer, low, left), np.where(nearer, right, high)
    return low


def _equal(found: Tracked, expected: np.ndarray, relative: float, absolute: float) -> np.ndarray:
    """Whether both are the same infinity, or finite numbers within the permitted difference."""
    finite = np.isfinite(expected) & np.isfinite(found.high)
    difference = np.abs((found.high - expected) + found.low)
    near = difference <= found.error + relative * np.abs(expected) + absolute
    return (found.high == expected) | (finite & near)


def _agrees(chain: Chain, operator: Function, x: np.ndarray) -> bool:
    """Whether the chain's value equals the operator's at these finite inputs."""
    expected = operator(x)
    real, narrow = _steps(chain, x, _REAL)[-1], _steps(chain, x, _FLOAT32)[-1]
    equal = _equal(real, expected, _RELATIVE, _ABSOLUTE)
    if not np.all(equal | (real.lost & ~np.isfinite(real.high))):
        return False
    infinite = np.abs(expected) > _FLOAT32.largest
    expected = np.where(infinite, np.copysign(np.inf, expected), expected)
    equal = _equal(narrow, expected, _LOST_RELATIVE, _LOST_ABSOLUTE)
    return bool(np.all(equal | ~narrow.lost | ~np.isfinite(narrow.high)))


def _agrees_at_the_ends(chain: Chain, special: np.ndarray) -> bool:
    """Whether the chain's values at -inf, inf and NaN equal ``special``, unless they are NaN."""
    value = _steps(chain, np.array([-np.inf, np.inf, np.nan]), _FLOAT32)[-1]
    equal = _equal(value, special, _RELATIVE, 0.0)
    return bool(np.all(equal | np.isnan(value.high)))


def proves(chain: Chain, operator: Function, special: np.ndarray) -> bool:
    """Whether the operator may replace the chain.

    Parameters
    ----------
    chain : Chain
        Its steps have kinds that :class:`tracked.Arithmetic` implements.
    operator : callable
        The exact operator on float64 arrays.
    special : np.ndarray
        The operator's values at -inf, inf and NaN.

    Returns
    -------
    bool
        Whether the chain equals the operator as defined at the top of this module.
    """
    with np.errstate(all="ignore"):
        if not _agrees(chain, operator, _numbers(_GRID)):
            return False
        if not _agrees_at_the_ends(chain, special):
            return False
        places = np.unique((_events(chain)[:, None] + _NEAR).ravel())
        return _agrees(chain, operator, _numbers(places))
