"""Call a written-out kernel from a legalization.

Generating such a kernel is slow, so equal kernels are generated once. Knows no operator.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tvm import relax, te

from quake_tvm.kernels.kernel_spec import WRITTEN_OUT, KernelSpec
from quake_tvm.tvm_version import tir

from .legalize import UNFUSABLE

# The shape and dtype of a tensor. A symbolic extent is the number of its name as text.
_Tensor = tuple[tuple[int | str, ...], str]


def call_written_out(
    builder: relax.BlockBuilder,
    name: str,
    kernel: KernelSpec,
    args: Sequence[relax.Expr],
    result: relax.Type,
    attributes: Mapping[str, Any] | None = None,
) -> relax.Expr:
    """A call of the kernel's PrimFunc, which TVM fuses with nothing.

    Parameters
    ----------
    builder : BlockBuilder
        Gets the PrimFunc.
    name : str
        Name of the PrimFunc.
    kernel : KernelSpec
    args : sequence of Expr
        The kernel's tensors, of known shape.
    result : Type
        Type of the call, a tuple for several results.
    attributes : mapping, optional
        Further attributes of the PrimFunc.

    Returns
    -------
    Expr
        A call_tir, or what ``call_te`` gives for extents that are computed from others.
    """
    attributes = {**UNFUSABLE, **kernel.attributes, **(attributes or {})}
    names: dict[tir.Var, str] = {}
    shapes = [[_extent(n, names) for n in arg.ty.shape] for arg in args]
    if any(None in shape for shape in shapes):
        return builder.call_te(kernel, *args, primfunc_name_hint=name, primfunc_attrs=attributes)
    types = tuple((tuple(s), str(a.ty.dtype)) for s, a in zip(shapes, args, strict=True))
    text = kernel.attributes[WRITTEN_OUT]
    function = _written(text, types).with_attrs(attributes)
    results = list(result.fields) if isinstance(result, relax.TupleType) else result
    return relax.call_tir(builder.add_func(function, name), list(args), results)


def _extent(n: tir.Expr, names: dict[tir.Var, str]) -> int | str | None:
    """A constant extent, or the number of a name. None for a computed extent."""
    if isinstance(n, tir.Var):
        return names.setdefault(n, str(len(names)))
    return getattr(n, "value", None)


@lru_cache(maxsize=64)
def _written(kernel: str, types: tuple[_Tensor, ...]) -> tir.PrimFunc:
    extents = {
        n: tir.Var(f"n{n}", "int64") if isinstance(n, str) else tir.const(n, "int64")
        for shape, _ in types
        for n in shape
    }
    inputs = [
        te.placeholder([extents[n] for n in shape], dtype, f"x{k}")
        for k, (shape, dtype) in enumerate(types)
    ]
    function = KernelSpec(**json.loads(kernel)).function(inputs)
    return function.without_attr("global_symbol")
