"""The parameters and results of a kernel, read from its code."""

from dataclasses import dataclass

import tvm_ffi

from ..errors import QuakeError
from ..kernels.arguments import Description
from ..schedules import RULE
from ..tvm_version import tir

# Rules of kernels that read weights.
WITH_WEIGHTS = ("matmul", "depthwise")


@dataclass(frozen=True)
class Signature:
    """A kernel's parameters.

    Attributes
    ----------
    inputs : list of (shape, dtype)
    outputs : list of (shape, dtype)
        They follow the inputs as parameters: the last ones that the kernel writes to.
    cold : bool
        Whether a model's other layers have pushed all but the first input out of the caches by the
        time it runs: it has weights of its own.
    """

    inputs: list[Description]
    outputs: list[Description]
    cold: bool = False


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
    cold = str(function.attrs.get(RULE, "")) in WITH_WEIGHTS
    return Signature(described[:first], described[first:], cold)


def _describe(parameter: tir.Var) -> Description:
    try:
        return tuple(int(n) for n in parameter.ty.shape), str(parameter.ty.dtype)
    except TypeError:
        raise QuakeError(f"the shape of {parameter.name} is known only when it runs") from None
