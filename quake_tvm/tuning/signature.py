"""The parameters and outputs of a kernel, read from its PrimFunc."""

from dataclasses import dataclass

import tvm_ffi

from ..errors import QuakeError
from ..kernels.arguments import Description
from ..schedules import RULE
from ..tvm_version import tir

# The rules that schedule kernels with weights.
WITH_WEIGHTS = ("matmul", "depthwise", "recurrent")


@dataclass(frozen=True)
class Signature:
    """A kernel's parameters.

    Attributes
    ----------
    inputs : list of (shape, dtype)
    outputs : list of (shape, dtype)
        They follow the inputs: the last parameters, which the kernel writes.
    cold : bool
        Whether all inputs except the first are out of the caches when the kernel runs in a model,
        because other layers ran in between: the kernel has weights.
    """

    inputs: list[Description]
    outputs: list[Description]
    cold: bool = False


def signature(function: tir.PrimFunc) -> Signature:
    """The kernel's parameters.

    Raises
    ------
    QuakeError
        If a shape is dynamic, or the kernel does not write its last parameter.
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
    cold = str(function.attrs.get(RULE, "")) in WITH_WEIGHTS
    return Signature(described[:first], described[first:], cold)


def _describe(parameter: tir.Var) -> Description:
    try:
        return tuple(int(n) for n in parameter.ty.shape), str(parameter.ty.dtype)
    except TypeError:
        raise QuakeError(f"the shape of {parameter.name} is known only when it runs") from None
