"""Arithmetic that is defined by the signs, the bits or the divisors of numbers."""

import math
from typing import Any

import torch

from .table import decomposes


def _negative(x: torch.Tensor) -> torch.Tensor:
    """Whether the sign bit is set, also of -0; 1 / -0 is -inf."""
    return (x < 0) | ((x == 0) & (torch.reciprocal(x) < 0))


@decomposes("signbit.default")
def _signbit(x: torch.Tensor) -> torch.Tensor:
    if not x.is_floating_point():
        return x < 0 if x.dtype != torch.bool else torch.zeros_like(x)
    return _negative(x)


@decomposes("copysign.Tensor", "copysign.Scalar")
def _copysign(x: torch.Tensor, sign: Any) -> torch.Tensor:
    if not isinstance(sign, torch.Tensor):
        dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        size = x.to(dtype).abs()
        return -size if math.copysign(1, sign) < 0 else size
    dtype = torch.result_type(x, sign)
    dtype = dtype if dtype.is_floating_point else torch.get_default_dtype()
    size, sign = x.to(dtype).abs(), sign.to(dtype)
    return torch.where(_negative(sign), -size, size)


@decomposes("hypot.default")
def _hypot(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Scaled by the larger side, so that no square overflows."""
    x, y = x.abs(), y.abs()
    large, small = torch.maximum(x, y), torch.minimum(x, y)
    ratio = small / torch.where(large == 0, 1, large)
    size = large * torch.sqrt(1 + ratio * ratio)
    return torch.where(torch.isinf(x) | torch.isinf(y), math.inf, size)


@decomposes("fmax.default")
def _fmax(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.where(y != y, x, torch.where(x != x, y, torch.maximum(x, y)))


@decomposes("fmin.default")
def _fmin(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.where(y != y, x, torch.where(x != x, y, torch.minimum(x, y)))


@decomposes("ldexp.Tensor")
def _ldexp(x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return x * torch.pow(2.0, other)


@decomposes("gcd.default")
def _gcd(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Euclid's algorithm, with as many steps as the widest dtype can need."""
    x, y = torch.broadcast_tensors(x.abs(), y.abs())
    for _ in range(_STEPS[torch.result_type(x, y)]):
        rest = torch.where(y == 0, 0, x % torch.where(y == 0, 1, y))
        x, y = torch.where(y == 0, x, y), rest
    return x


# The divisions after which no rest is left: the logarithm of 2^bits to the golden ratio.
_STEPS = {torch.int8: 11, torch.uint8: 12, torch.int16: 22, torch.int32: 45, torch.int64: 91}


@decomposes("lcm.default")
def _lcm(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    divisor = torch.gcd(x, y)
    return (x // torch.where(divisor == 0, 1, divisor) * y).abs()


@decomposes("angle.default")
def _angle(x: torch.Tensor) -> torch.Tensor:
    """Of real numbers: 0 or pi. Complex numbers have a converter."""
    if x.is_complex():
        return NotImplemented
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    angle = torch.where(x < 0, math.pi, 0.0).to(dtype)
    return torch.where(x != x, x.to(dtype), angle)
