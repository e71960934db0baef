"""Operators for which torch itself has two results. Either of them is right.

``Otherwise`` runs the operators that are named here with torch's other kernel, with torch's own
decomposition, or with an inner rounding that eager may have as well. If the result differs from
eager's, the difference widens the margin, or the result is not compared. Each function's docstring
gives the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Sequence[torch.Tensor]:
    """The kernel gives 0 for a row of scores with NaN; the decomposition gives NaN."""
    return aten._scaled_dot_product_attention_math(
        query, key, value, options.pop("attn_mask", None), dropout_p, is_causal, **options
    )


def _norm(operator: torch._ops.OpOverload) -> Callable[..., Any]:
    """If squares overflow, the kernel's variance is NaN in short rows and infinite in others.

    Before the first full vector of a row the kernel's sums are 0, and 0 times infinity is NaN.
    """
    return torch._decomp.decomposition_table[operator]


def _in_float64(operator: torch._ops.OpOverload) -> Callable[..., Any]:
    """The operator in float64.

    A remainder's vector code gives NaN where a divisor is subnormal, or far smaller than the
    dividend. The code for the elements after the last full vector gives the remainder there too.

    Where products of a sum overflow, the sum may be NaN or infinite, by its order. Where none
    overflows before it is added, as in fused multiply-adds, it may be finite.
    """

    def wide(*args: Any) -> torch.Tensor:
        dtype = operator(*args).dtype
        return operator(*(a.double() if _is_float(a) else a for a in args)).to(dtype)

    return wide


def _one_by_one(combine: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Running sums and products of float32. The kernel accumulates in float64, which is wider."""

    def running(x: torch.Tensor, dim: int, *, dtype: Any = None) -> torch.Tensor:
        x = x if dtype is None else x.to(dtype)
        parts = list(x.unbind(dim)) if x.ndim else []
        for k in range(1, len(parts)):
            parts[k] = combine(parts[k - 1], parts[k])
        return torch.stack(parts, dim) if parts else x

    return running


def _deviation(finish: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Squares that overflow. The kernel adds them up in float64, which is wider."""

    def deviation(
        x: torch.Tensor, dim: Any = None, *, correction: Any = 1, keepdim: bool = False
    ) -> torch.Tensor:
        axes = dim or list(range(x.ndim))
        centered = x - x.mean(axes, keepdim=True)
        total = (centered * centered).sum(axes, keepdim=keepdim)
        degrees = x.numel() // max(total.numel(), 1) - (1 if correction is None else correction)
        return finish(total / max(degrees, 0))

    return deviation


def _gelu(x: torch.Tensor, **options: Any) -> torch.Tensor:
    """In the tail 1 + erf(x) cancels: few units in the last place remain, and erf's error is one.

    Only a share of that error is applied here, since margins are many times the observed spread.
    At the infinities the vector code gives NaN and the scalar code the limit.
    """
    return torch.where(x.isinf(), x.relu(), aten.gelu(x, **options) - x.abs() * 2.0**-27)


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


_OTHERS: Mapping[torch._ops.OpOverload, Callable[..., Any]] = {
    aten._scaled_dot_product_flash_attention_for_cpu.default: _attention,
    aten.gelu.default: _gelu,
    aten.cumprod.default: _one_by_one(torch.mul),
    aten.cumsum.default: _one_by_one(torch.add),
    aten.var.correction: _deviation(lambda variance: variance),
    aten.std.correction: _deviation(torch.sqrt),
    **{
        operator: _norm(operator)
        for operator in (aten.native_layer_norm.default, aten.native_group_norm.default)
    },
    **{
        operator: _in_float64(operator)
        for operator in (
            *(aten.mm.default, aten.bmm.default, aten.addmm.default, aten.baddbmm.default),
            *(aten.mv.default, aten.dot.default, aten.convolution.default),
            *(aten.fmod.Tensor, aten.fmod.Scalar),
            *(aten.remainder.Tensor, aten.remainder.Scalar, aten.remainder.Scalar_Tensor),
        )
    },
}


class Otherwise(TorchDispatchMode):
    """Runs every operator as eager does, but those with two results in the other way."""

    def __torch_dispatch__(
        self,
        operator: torch._ops.OpOverload,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The result of an operator."""
        return _OTHERS.get(operator, operator)(*args, **(kwargs or {}))
