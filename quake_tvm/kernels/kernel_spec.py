"""A generated kernel stores its name and options, so that it can be regenerated with other options.

The loops of such a kernel are statements, so no schedule can change them. The kernel's tensors are
the parameters of its PrimFunc. Knows no target and no graph.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import te

from ..tvm_version import tir
from . import compute, norms
from .attention import attention
from .attention_products import operands
from .byte_groups import byte_groups, quantized_rows
from .byte_softmax import byte_softmax
from .extremes import extremes
from .lookup import lookup_ffn
from .recurrent import recurrent
from .register_tile import Tile

# The attribute of a PrimFunc that holds the name and the options as JSON.
WRITTEN_OUT = "quake.written_out"


def _attention(*tensors: te.Tensor, axes: list[int], tiles: list[int], **options: Any) -> te.Tensor:
    """:func:`attention.attention`, with the operands' axes and both tiles as plain numbers."""
    both = Tile(*tiles[:3]), Tile(*tiles[3:])
    return attention(*tensors, operands=operands(axes), tiles=both, **options)


KERNELS: dict[str, Callable[..., te.Tensor | list[te.Tensor]]] = {
    "softmax": compute.softmax,
    "log_softmax": compute.log_softmax,
    "logsumexp": compute.logsumexp,
    "layer_norm": norms.layer_norm,
    "rms_norm": norms.rms_norm,
    "attention": _attention,
    "recurrent": recurrent,
    "byte_groups": byte_groups,
    "byte_softmax": byte_softmax,
    "quantized_rows": quantized_rows,
    "extremes": extremes,
    "lookup_ffn": lookup_ffn,
}


@dataclass(frozen=True)
class KernelSpec:
    """One kernel. Calling it with tensors generates the kernel.

    Attributes
    ----------
    name : str
        One of ``KERNELS``.
    options : dict
        The keyword arguments, JSON values only.
    results : int
        The number of results, the last parameters of the PrimFunc.
    """

    name: str
    options: dict[str, Any]
    results: int = 1

    def __call__(self, *tensors: te.Tensor) -> te.Tensor | list[te.Tensor]:
        """The kernel's result as a tensor, or its results."""
        return KERNELS[self.name](*tensors, **self.options)

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes that the kernel's PrimFunc must carry."""
        several = {"results": self.results} if self.results > 1 else {}
        text = json.dumps({"name": self.name, "options": self.options, **several})
        return {WRITTEN_OUT: text}

    def function(self, inputs: list[te.Tensor]) -> tir.PrimFunc:
        """The kernel as a PrimFunc of its inputs and results."""
        made = self(*inputs)
        results = made if isinstance(made, list) else [made]
        return te.create_prim_func([*inputs, *results], "int64")  # as Relax does

    @staticmethod
    def of(function: tir.PrimFunc) -> "KernelSpec | None":
        """The specification stored in a PrimFunc, or None if it has none."""
        text = function.attrs.get(WRITTEN_OUT) if function.attrs else None
        return None if text is None else KernelSpec(**json.loads(str(text)))

    def rebuild(
        self,
        function: tir.PrimFunc,
        shapes: Mapping[int, Sequence[int]] | None = None,
        /,
        **options: Any,
    ) -> tir.PrimFunc:
        """Generate the kernel again with other options. Name and attributes stay.

        Parameters
        ----------
        function : PrimFunc
            A function generated from this specification.
        shapes : mapping of int to sequence of int, optional
            New shapes of some inputs, by their places. All other parameters stay.
        **options
            The options that change.
        """
        kernel = KernelSpec(self.name, self.options | options, self.results)
        new = {k: [tir.const(n, "int64") for n in shape] for k, shape in (shapes or {}).items()}
        inputs = [
            te.placeholder(new.get(k, list(p.ty.shape)), str(p.ty.dtype), p.name)
            for k, p in enumerate(function.params[: -self.results])
        ]
        fresh = kernel.function(inputs)
        fresh = tir.PrimFunc(fresh.params, fresh.body, fresh.ret_type, function.attrs)
        return fresh.with_attr(WRITTEN_OUT, kernel.attributes[WRITTEN_OUT])
