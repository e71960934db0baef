"""Special functions, computed in float64 and rounded once."""

import math
from collections.abc import Callable

import numpy as np
import torch

from .table import decomposes

_ROOT_PI = math.sqrt(math.pi)


def _in_double(name: str) -> Callable[[Callable], Callable]:
    """Register a function of float64 for all dtypes. Whole numbers give torch's default dtype."""

    def enter(function: Callable) -> Callable:
        @decomposes(f"{name}.default")
        def decomposition(x: torch.Tensor) -> torch.Tensor:
            dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
            return function(x.to(torch.float64)).to(dtype)

        return function

    return enter


@_in_double("erfinv")
def erfinv(x: torch.Tensor) -> torch.Tensor:
    """Winitzki's approximation, then Halley's steps, each of which triples the digits."""
    rate = 0.147
    log = torch.log((1 - x) * (1 + x))
    half = 2 / (math.pi * rate) + log / 2
    y = torch.sign(x) * torch.sqrt(torch.sqrt(half * half - log / rate) - half)
    for _ in range(3):
        step = (torch.erf(y) - x) / (2 / _ROOT_PI * torch.exp(-y * y))
        y = y - step / (1 + y * step)
    y = torch.where(x.abs() == 1, x * math.inf, y)
    return torch.where(x == 0, x, y)


@_in_double("erfc")
@_in_double("special_erfc")
def erfc(x: torch.Tensor) -> torch.Tensor:
    """1 - erf(x); for large x the continued fraction, since the difference cancels."""
    large = torch.clamp(x, min=2.0)
    fraction = large
    for k in range(60, 0, -1):
        fraction = large + k / 2 / fraction
    tail = torch.exp(-large * large) / (_ROOT_PI * fraction)
    return torch.where(x > 2, tail, 1 - torch.erf(x))


# The recurrences below raise the argument by this much, where the asymptotic series are accurate.
_RAISED = 10
# Bernoulli's numbers B2, B4, ...
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


def _lgamma_of_positive(x: torch.Tensor) -> torch.Tensor:
    product = torch.ones_like(x)
    for k in range(_RAISED):
        product = product * (x + k)
    small = x < _RAISED
    z = torch.where(small, x + _RAISED, x)
    series = sum(b / (2 * k * (2 * k - 1)) * z ** (1 - 2 * k) for k, b in enumerate(_BERNOULLI, 1))
    large = (z - 0.5) * torch.log(z) - z + 0.5 * math.log(2 * math.pi) + series
    return torch.where(small, large - torch.log(product), large)


@_in_double("lgamma")
def lgamma(x: torch.Tensor) -> torch.Tensor:
    """Stirling's series, and Euler's reflection for negative x."""
    reflected = x < 0.5
    positive = _lgamma_of_positive(torch.where(reflected, 1 - x, x))
    # the distance to a whole number is exact, so that the sine is right near the poles
    sine = torch.sin(math.pi * (x - torch.round(x))).abs()
    value = torch.where(reflected, math.log(math.pi) - torch.log(sine) - positive, positive)
    return torch.where(torch.isinf(x), x.abs(), value)


@_in_double("digamma")
def digamma(x: torch.Tensor) -> torch.Tensor:
    """The logarithmic derivative of gamma, by the same steps as :func:`lgamma`."""
    reflected = x < 0
    y = torch.where(reflected, 1 - x, x)
    below = sum(1 / (y + k) for k in range(_RAISED))
    small = y < _RAISED
    z = torch.where(small, y + _RAISED, y)
    series = sum(b / (2 * k) * z ** (-2 * k) for k, b in enumerate(_BERNOULLI, 1))
    value = torch.log(z) - 0.5 / z - series
    value = torch.where(small, value - below, value)
    turn = math.pi / torch.tan(math.pi * (x - torch.round(x)))
    value = torch.where(reflected, value - turn, value)
    pole = reflected & (x == torch.round(x))
    value = torch.where(pole, math.nan, value)
    return torch.where(x == 0, torch.copysign(torch.full_like(x, math.inf), -x), value)


def _zeta(s: torch.Tensor | float, q: torch.Tensor) -> torch.Tensor:
    """Hurwitz's zeta function for s > 1 and q > 0, by Euler's and Maclaurin's formula."""
    first = sum((q + k) ** -s for k in range(_RAISED))
    z = q + _RAISED
    total = first + z ** (1 - s) / (s - 1) + 0.5 * z**-s
    rising, factorial = s, 1.0
    for k, b in enumerate(_BERNOULLI, 1):
        factorial *= 2 * k * (2 * k - 1)
        total = total + b / factorial * rising * z ** (-s - 2 * k + 1)
        rising = rising * (s + 2 * k - 1) * (s + 2 * k)
    return total


@decomposes("polygamma.default")
def _polygamma(n: int, x: torch.Tensor) -> torch.Tensor:
    if n == 0:
        return torch.digamma(x)
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    x = x.to(torch.float64)
    reflected = x < 0
    factor = (-1) ** (n + 1) * math.factorial(n)
    value = factor * _zeta(float(n + 1), torch.where(reflected, 1 - x, x))
    turn = (math.pi ** (n + 1)) * _cotangent(n, math.pi * (x - torch.round(x)))
    value = torch.where(reflected, (-1) ** n * value - turn, value)
    return value.to(dtype)


def _cotangent(n: int, x: torch.Tensor) -> torch.Tensor:
    """The n-th derivative of the cotangent, as a polynomial of the cotangent c.

    The derivative of c is -(1 + c²).
    """
    polynomial = np.polynomial.Polynomial([0, 1])
    for _ in range(n):
        polynomial = -polynomial.deriv() * np.polynomial.Polynomial([1, 0, 1])
    c, total = 1 / torch.tan(x), torch.zeros_like(x)
    for coefficient in reversed(polynomial.coef.tolist()):
        total = total * c + coefficient
    return total
