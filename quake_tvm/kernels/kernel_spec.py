"""A generated kernel stores its name and options, so that it can be regenerated with other options.

No schedule can change the loops of such a kernel: they are statements. Its tensors are the
parameters of its PrimFunc. Knows no target and no graph.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import te

from ..tvm_version import tir
from . import compute, norms
from .attention import attention, operands
from .register_tile import Tile

# The attribute of a PrimFunc.
WRITTEN_OUT = "quake.written_out"


def _attention(*tensors: te.Tensor, axes: list[int], tiles: list[int], **options: Any) -> te.Tensor:
    """:func:`attention.attention`, the axes of its operands and both tiles as plain numbers."""
    both = Tile(*tiles[:3]), Tile(*tiles[3:])
    return attention(*tensors, operands=operands(axes), tiles=both, **options)


KERNELS: dict[str, Callable[..., te.Tensor]] = {
    "softmax": compute.softmax,
    "log_softmax": compute.log_softmax,
    "logsumexp": compute.logsumexp,
    "layer_norm": norms.layer_norm,
    "rms_norm": norms.rms_norm,
    "attention": _attention,
}


@dataclass(frozen=True)
class KernelSpec:
    """One kernel; called with its tensors, it is written.

    Attributes
    ----------
    name : str
        One of ``KERNELS``.
    options : dict
        Its keyword arguments, as JSON has them.
    """

    name: str
    options: dict[str, Any]

    def __call__(self, *tensors: te.Tensor) -> te.Tensor:
        """The result as a tensor."""
        return KERNELS[self.name](*tensors, **self.options)

    @property
    def attributes(self) -> dict[str, str]:
        """What its PrimFunc is to carry."""
        return {WRITTEN_OUT: json.dumps({"name": self.name, "options": self.options})}

    @staticmethod
    def of(function: tir.PrimFunc) -> "KernelSpec | None":
        """The kernel that a PrimFunc is, if it says so."""
        text = function.attrs.get(WRITTEN_OUT) if function.attrs else None
        return None if text is None else KernelSpec(**json.loads(str(text)))

    def rebuild(self, function: tir.PrimFunc, **options: Any) -> tir.PrimFunc:
        """The function written with other options; the rest of it stays.

        Parameters
        ----------
        function : PrimFunc
            One that this kernel is of, its result the last parameter.
        **options
            Those that change.
        """
        kernel = KernelSpec(self.name, self.options | options)
        inputs = [
            te.placeholder(list(p.ty.shape), str(p.ty.dtype), p.name) for p in function.params[:-1]
        ]
        fresh = te.create_prim_func([*inputs, kernel(*inputs)], "int64")  # as Relax does
        fresh = tir.PrimFunc(fresh.params, fresh.body, fresh.ret_type, function.attrs)
        return fresh.with_attr(WRITTEN_OUT, kernel.attributes[WRITTEN_OUT])
