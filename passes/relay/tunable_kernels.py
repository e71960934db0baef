"""Make kernels tunable by MetaSchedule although their formulas use ``let``.

MetaSchedule counts a kernel's operations before it tunes, and its counter does not support ``let``.
So the kernel carries the number as an attribute. MetaSchedule also inlines a producer into every
reader. The same name is then bound to two values, and no such candidate compiles. So a block whose
results are read more than once is excluded from its rules. This also avoids computing the results
more than once.

The change wraps TVM's own function that makes kernels for tuners, because task extraction and
building must use the same kernels. Knows no operator.
"""

import math
from collections import Counter

import tvm
from tvm import te, tir

_CONVERTER = "relay.backend.tir_converter.default"
# TVM's attribute with the number of operations. TVM does not count if it is set.
_COUNT = "estimated_flops"
# TVM's annotation of a block that no rule may change.
_AS_IT_IS = {"schedule_rule": "None"}


def tunable(kernel: tir.PrimFunc) -> tir.PrimFunc:
    """The kernel with what its ``let`` expressions need. A kernel without any is unchanged."""
    operations = _operations(kernel.body)
    if operations is None:
        return kernel
    return kernel.with_body(_protected(kernel.body)).with_attr(_COUNT, operations)


def _operations(body: tir.Stmt) -> int | None:
    """The number of operations, None if TVM can count them itself."""
    lets: list[tir.Let] = []

    def as_sum(let: tir.Let) -> tir.PrimExpr:
        lets.append(let)
        return let.value + let.body

    counted = tir.stmt_functor.ir_transform(body, None, as_sum, ["tir.Let"])
    return int(tir.analysis.estimate_tir_flops(counted)) - len(lets) if lets else None


def _protected(body: tir.Stmt) -> tir.Stmt:
    uses: Counter[tir.Buffer] = Counter()

    def see(store: tvm.Object) -> None:
        if isinstance(store, tir.BufferStore):
            for load in _loads(store.value):
                uses[load.buffer] += max(1, _size(store.buffer) // max(1, _size(load.buffer)))

    def protect(block: tir.Block) -> tir.Block:
        store = block.body
        if not (isinstance(store, tir.BufferStore) and isinstance(store.value, tir.Let)):
            return block
        if uses[store.buffer] <= 1:
            return block
        return tir.Block(
            block.iter_vars,
            block.reads,
            block.writes,
            block.name_hint,
            store,
            annotations={**block.annotations, **_AS_IT_IS},
        )

    tir.stmt_functor.post_order_visit(body, see)
    return tir.stmt_functor.ir_transform(body, None, protect, ["tir.Block"])


def _loads(value: tir.PrimExpr) -> list[tir.BufferLoad]:
    found: list[tir.BufferLoad] = []

    def see(node: tvm.Object) -> None:
        if isinstance(node, tir.BufferLoad):
            found.append(node)

    tir.stmt_functor.post_order_visit(value, see)
    return found


def _size(buffer: tir.Buffer) -> int:
    return math.prod(int(n) for n in buffer.shape)


def install() -> None:
    """Wrap TVM's function, for all kernels from now on."""
    convert = tvm.get_global_func(_CONVERTER)

    def converted(tensors: list[te.Tensor], constants: list[tvm.nd.NDArray]) -> tir.PrimFunc | None:
        kernel = convert(tensors, constants)
        return None if kernel is None else tunable(kernel)

    tvm.register_func(_CONVERTER, converted, override=True)
