"""MetaSchedule counts a kernel's operations before it tunes it, and its counter knows no ``let``.

So kernels come with their number: it stands behind the function that makes them, the one that both
extraction and building ask. Knows no operator.
"""

import tvm
from tvm import te, tir

_CONVERTER = "relay.backend.tir_converter.default"
# TVM's own name for a number that it need not find out.
_COUNT = "estimated_flops"


def counted(kernel: tir.PrimFunc) -> tir.PrimFunc:
    """The kernel with its number of operations, if TVM could not count them."""
    lets: list[tir.Let] = []

    def as_sum(let: tir.Let) -> tir.PrimExpr:
        lets.append(let)
        return let.value + let.body

    body = tir.stmt_functor.ir_transform(kernel.body, None, as_sum, ["tir.Let"])
    if not lets:
        return kernel
    operations = tir.analysis.estimate_tir_flops(body) - len(lets)
    return kernel.with_attr(_COUNT, int(operations))


def install() -> None:
    """Count in every kernel that TVM makes for a tuner."""
    convert = tvm.get_global_func(_CONVERTER)

    def converted(
        tensors: list[te.Tensor], constants: list[tvm.nd.NDArray]
    ) -> tir.PrimFunc | None:
        kernel = convert(tensors, constants)
        return None if kernel is None else counted(kernel)

    tvm.register_func(_CONVERTER, converted, override=True)
