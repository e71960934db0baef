"""Relay: addresses that a kernel computes from data stay within the buffer that they point into.

A wrong index accesses the nearest element, because Relay's runtimes for boards cannot report an
error from a kernel. Knows no operator.
"""

import tvm
from tvm import tir


def clamped(body: tir.Stmt) -> tir.Stmt:
    """The statement with such addresses clamped, each along its own axis."""
    from_data: set[tir.Var] = set()

    def is_data(expr: tir.PrimExpr) -> bool:
        found: list[bool] = []

        def see(node: object) -> None:
            found.append(isinstance(node, tir.BufferLoad | tir.ProducerLoad) or node in from_data)

        if isinstance(expr, tir.IntImm):
            return False
        tir.stmt_functor.post_order_visit(expr, see)
        return any(found)

    def note(node: object) -> None:
        if isinstance(node, tir.For) and (is_data(node.min) or is_data(node.extent)):
            from_data.add(node.loop_var)
        elif isinstance(node, tir.LetStmt | tir.Let) and is_data(node.value):
            from_data.add(node.var)

    def within(node: tir.BufferLoad | tir.BufferStore) -> tir.BufferLoad | tir.BufferStore:
        if not any(map(is_data, node.indices)):
            return node
        indices = [
            _limited(i, n) if is_data(i) else i
            for i, n in zip(node.indices, node.buffer.shape, strict=True)
        ]
        if isinstance(node, tir.BufferLoad):
            return tir.BufferLoad(node.buffer, indices)
        return tir.BufferStore(node.buffer, node.value, indices)

    known = -1
    while known < len(from_data):  # a loop's bound may come from a later statement
        known = len(from_data)
        tir.stmt_functor.post_order_visit(body, note)
    return tir.stmt_functor.ir_transform(body, None, within, ["tir.BufferLoad", "tir.BufferStore"])


def _limited(index: tir.PrimExpr, extent: tir.PrimExpr) -> tir.PrimExpr:
    """The nearest index from 0 to the extent, which a type of 8 or 16 bits may not hold."""
    dtype = index.dtype if tvm.DataType(index.dtype).bits >= 32 else "int32"
    last = tir.Cast(dtype, extent) - 1
    return tir.max(tir.min(tir.Cast(dtype, index), last), tir.const(0, dtype))


@tir.transform.prim_func_pass(opt_level=0, name="QuAKE.ClampKernels")
def clamp_kernels(
    function: tir.PrimFunc, _: tvm.IRModule, __: tvm.transform.PassContext
) -> tir.PrimFunc:
    """Clamp the addresses of one kernel."""
    return function.with_body(clamped(function.body))
