"""Where torch itself has two results for one operator, and either is right.

``Otherwise`` runs the operators that are named here by torch's other kernel, by torch's own
decomposition, or with a rounding inside that eager may have as well. Where these give other values
than eager, the result is open, or as uncertain as they are apart. Each says its reason.
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
    """The kernel gives 0 where a row of scores has NaN; the same in single operators gives NaN."""
    return aten._scaled_dot_product_attention_math(
        query, key, value, options.pop("attn_mask", None), dropout_p, is_causal, **options
    )


def _norm(operator: torch._ops.OpOverload) -> Callable[..., Any]:
    """The kernel's variance of numbers whose squares overflow is NaN in short rows, else infinite.

    Before the first full vector of a row its sums are 0, and 0 times infinity is NaN.
    """
    return torch._decomp.decomposition_table[operator]


def _rest(operator: torch._ops.OpOverload) -> Callable[..., Any]:
    """Vectors give NaN where a divisor is subnormal, or far smaller than what it divides.

    What is left behind the last full vector, and float64, give the rest there too.
    """

    def wide(*args: Any) -> torch.Tensor:
        dtype = operator(*args).dtype
        return operator(*(a.double() if _is_float(a) else a for a in args)).to(dtype)

    return wide


def _gelu(x: torch.Tensor, **options: Any) -> torch.Tensor:
    """In the tail 1 + erf(x) cancels: what is left is few times the last place, which erf may lose.

    A share of that here, as margins are many times as wide as what is seen.
    """
    return aten.gelu(x, **options) - x.abs() * 2.0**-27


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


_OTHERS: Mapping[torch._ops.OpOverload, Callable[..., Any]] = {
    aten._scaled_dot_product_flash_attention_for_cpu.default: _attention,
    aten.gelu.default: _gelu,
    **{
        operator: _norm(operator)
        for operator in (aten.native_layer_norm.default, aten.native_group_norm.default)
    },
    **{
        operator: _rest(operator)
        for operator in (
            *(aten.fmod.Tensor, aten.fmod.Scalar),
            *(aten.remainder.Tensor, aten.remainder.Scalar, aten.remainder.Scalar_Tensor),
        )
    },
}


class Otherwise(TorchDispatchMode):
    """Runs every operator, those with two results as eager does not."""

    def __torch_dispatch__(
        self,
        operator: torch._ops.OpOverload,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The result of an operator."""
        return _OTHERS.get(operator, operator)(*args, **(kwargs or {}))
