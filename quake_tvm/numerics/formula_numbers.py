"""The numbers in the operators' formulas, which constants in half precision stand for.

Knows the registry.
"""

import math

import numpy as np

from .operators import OPERATORS

_ROOT = math.sqrt(2 / math.pi)
_CUBIC = 0.044715
_IN_FORMULAS = (
    *(math.sqrt(2), 1 / math.sqrt(2), _ROOT, 2 * _ROOT, _CUBIC, _ROOT * _CUBIC, 2 * _ROOT * _CUBIC),
    *(value for row in OPERATORS.values() for value in row.parameters.values()),
    math.prod(OPERATORS["selu"].parameters.values()),
)


def widened(values: np.ndarray) -> np.ndarray:
    """Constants in half precision as float32.

    A constant with equal elements that is a number of an operator's formula, rounded, becomes this
    number: 1.414, which float16 has for the square root of 2, becomes 1.4142135. Then the formula
    is recognised.

    Parameters
    ----------
    values : np.ndarray
        Of a dtype of half precision.

    Returns
    -------
    np.ndarray
        float32, of the same shape.
    """
    wide = values.astype(np.float32)
    if values.size and (wide == wide.flat[0]).all():
        for number in _IN_FORMULAS:
            if np.abs(wide.flat[0]) == np.array(number).astype(values.dtype):
                return np.copysign(np.full_like(wide, number), wide)
    return wide
