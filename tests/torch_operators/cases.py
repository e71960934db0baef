"""An operator on one sample input, as a function of tensors. Knows no compiler."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo
from torch.utils import _pytree as pytree

DTYPES = (torch.float32, torch.int64, torch.bool)
# Larger samples are left out: they are slow, and torch orders equal elements of long rows at will.
_MOST_ELEMENTS = 4096


@dataclass
class Case:
    """A function of tensors, and its inputs.

    Attributes
    ----------
    label : str
        The dtype and the inputs' shapes, for people.
    function : callable
    inputs : tuple of torch.Tensor
    """

    label: str
    function: Callable[..., Any]
    inputs: tuple[torch.Tensor, ...]


# Their results are undefined.
_UNDEFINED = ("empty", "new_empty")


def operators() -> dict[str, OpInfo]:
    """torch's test cases of its operators, by their names."""
    named = lambda info: ".".join(filter(None, (info.name, info.variant_test_name)))  # noqa: E731
    chosen = [info for info in op_db if not info.name.startswith(_UNDEFINED)]
    return {named(info): info for info in sorted(chosen, key=named)}


def cases(info: OpInfo, most: int) -> Iterator[Case]:
    """At most this many cases of each dtype, spread evenly over torch's sample inputs.

    The operator that writes into its first argument is one more case of each dtype.
    """
    for dtype in DTYPES:
        if dtype not in info.dtypes:
            continue
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples = [s for s in info.sample_inputs("cpu", dtype, False) if _taken(s)]
        step = max(1, -(-len(samples) // most))
        for sample in samples[::step]:
            yield _case(info.op, dtype, sample)
        if info.inplace_variant is not None and samples:
            yield _case(_on_a_copy(info.inplace_variant), dtype, samples[0], "in place, ")


def _taken(sample: Any) -> bool:
    """Whether the tensors are small and dense: arrays hold no sparse ones."""
    leaves = pytree.tree_leaves((sample.input, sample.args, sample.kwargs))
    tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
    return all(x.layout == torch.strided and x.numel() <= _MOST_ELEMENTS for x in tensors)


def _real(x: torch.Tensor) -> torch.Tensor:
    """A complex result as pairs of numbers, since a compiled model has no complex outputs."""
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x


def _on_a_copy(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(first: Any, *args: Any, **kwargs: Any) -> Any:
        first = pytree.tree_map_only(torch.Tensor, torch.clone, first)
        return function(first, *args, **kwargs)

    return call


def _case(operator: Callable[..., Any], dtype: torch.dtype, sample: Any, what: str = "") -> Case:
    leaves, tree = pytree.tree_flatten(((sample.input, *sample.args), dict(sample.kwargs)))
    places = [k for k, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]

    def function(*tensors: torch.Tensor) -> Any:
        given = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            given[place] = tensor
        args, kwargs = pytree.tree_unflatten(given, tree)
        return pytree.tree_map_only(torch.Tensor, _real, operator(*args, **kwargs))

    shown = [list(v.shape) if isinstance(v, torch.Tensor) else v for v in leaves]
    label = f"{what}{str(dtype).removeprefix('torch.')} {', '.join(map(str, shown))}"
    # contiguous, as arrays of a compiled model are
    inputs = tuple(leaves[k].detach().clone(memory_format=torch.contiguous_format) for k in places)
    return Case(label[:120], function, inputs)
