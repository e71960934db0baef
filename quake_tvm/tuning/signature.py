"""What a kernel wants and gives, read from its code."""

from dataclasses import dataclass

import tvm_ffi

from ..arguments import Description
from ..errors import QuakeError
from ..generation import tir


@dataclass(frozen=True)
class Signature:
    """A kernel's parameters.

    Attributes
    ----------
    inputs : list of (shape, dtype)
    outputs : list of (shape, dtype)
        They follow the inputs as parameters: the last ones that the kernel writes to.
    """

    inputs: list[Description]
    outputs: list[Description]


def signature(function: tir.PrimFunc) -> Signature:
    """The kernel's parameters.

    Raises
    ------
    QuakeError
        If a shape is known only when it runs, or no result comes last.
    """
    written: list[tir.Buffer] = []
    tvm_ffi.structural_walk(
        function.body, (tir.BufferStore, lambda store: written.append(store.buffer))
    )
    described = [_describe(parameter) for parameter in function.params]
    first = len(described)
    while first and any(function.params[first - 1].same_as(buffer) for buffer in written):
        first -= 1
    if first == len(described):
        raise QuakeError("the kernel does not write to its last parameter")
    return Signature(described[:first], described[first:])


def _describe(parameter: tir.Var) -> Description:
    try:
        return tuple(int(n) for n in parameter.ty.shape), str(parameter.ty.dtype)
    except TypeError:
        raise QuakeError(f"the shape of {parameter.name} is known only when it runs") from None
