"""A chain: element-wise steps from one tensor to one result, as plain data.

The recogniser extracts a chain from a graph, and :mod:`chain_proof` compares it with an operator. A
chain is hashable, so that the result of a proof can be cached. Knows no graph and no registry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from quake_tvm.numerics import reference

EXPONENTIAL = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": lambda x: reference.sigmoid(reference.NUMPY, x),
    "erf": reference.NUMPY.erf,
    "nn.gelu": lambda x: reference.gelu(reference.NUMPY, x),
    "nn.gelu_tanh": lambda x: reference.gelu_tanh(reference.NUMPY, x),
    "nn.silu": lambda x: reference.silu(reference.NUMPY, x),
    "nn.selu": lambda x: reference.selu(reference.NUMPY, x),
    "nn.softplus": lambda x, beta, threshold: np.where(
        beta * x > threshold, x, reference.softplus(reference.NUMPY, x, beta)
    ),
}
ALGEBRAIC = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "negative": np.negative,
    "abs": np.abs,
    "square": np.square,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "log": np.log,
    "nn.relu": lambda x: np.maximum(x, 0),
    "where": np.where,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
}
KINDS: dict[str, Callable] = EXPONENTIAL | ALGEBRAIC
# A kind of the graph only: in a chain a clip is a maximum and a minimum.
CLIP = "clip"
# The attributes of an operator that its value depends on.
_ATTRIBUTES = {"nn.softplus": ("beta", "threshold")}


@dataclass(frozen=True)
class Number:
    """A constant argument."""

    value: float


@dataclass(frozen=True)
class Step:
    """One operator.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    args : tuple of int or Number
        0 is the chain's input, k is the result of step k, counted from 1.
    options : tuple of float
        Attributes. They follow the arguments when the kind's function is called.
    """

    kind: str
    args: tuple[int | Number, ...]
    options: tuple[float, ...] = ()


Chain = tuple[Step, ...]


def clipped(x: int | Number, low: float, high: float, place: int) -> list[Step]:
    """The two steps of a clip.

    Parameters
    ----------
    x : int or Number
        The operand, as in :class:`Step`.
    low, high : float
        The limits.
    place : int
        The number of the first of the two steps in the chain, from 1.
    """
    return [Step("maximum", (x, Number(low))), Step("minimum", (place, Number(high)))]


def options_of(kind: str, call: Any) -> tuple[float, ...]:
    """The attributes of an operator's call that its step needs."""
    return tuple(float(getattr(call.attrs, name)) for name in _ATTRIBUTES.get(kind, ()))


def numbers(chain: Chain) -> list[float]:
    """The chain's constants, attributes included."""
    found = [a.value for step in chain for a in step.args if isinstance(a, Number)]
    return found + [value for step in chain for value in step.options]


def evaluate(chain: Chain, x: np.ndarray) -> np.ndarray:
    """The chain's value in float64."""
    values = [x]
    with np.errstate(all="ignore"):
        for step in chain:
            args = [np.float64(a.value) if isinstance(a, Number) else values[a] for a in step.args]
            values.append(KINDS[step.kind](*args, *step.options))
    return np.broadcast_to(values[-1], x.shape)
