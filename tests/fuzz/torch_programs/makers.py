"""The makers of a random program's steps, and the weight with which each is drawn.

A maker takes the choices and returns the text of an expression, or None if no value fits. Torch
runs the expression at once and decides whether it is valid: a step that torch refuses is dropped.
Knows no compiler.
"""

from collections.abc import Callable

from .choices import Choices
from .elementwise import activation, binary, cast, scalar, unary, where
from .layers import (
    attention,
    convolution,
    linear,
    normalization,
    pool,
    product,
    recurrent,
    resize,
)
from .movement import creation, grow, index, join, pad, parts, slices, turn, view, write
from .rows import norm, reduction, row

# Returns the text of an expression over the values and the program's modules.
Maker = Callable[[Choices], str | None]

MAKERS: dict[Maker, int] = {
    **{unary: 8, activation: 10, binary: 14, scalar: 12, where: 5, cast: 4, reduction: 7, row: 6},
    **{norm: 1, slices: 7, view: 5, turn: 4, grow: 4, pad: 4, join: 4, parts: 2, index: 5},
    **{linear: 7, product: 4, convolution: 5, normalization: 4, pool: 3, resize: 2, attention: 2},
    **{recurrent: 1, write: 2, creation: 2},
}
