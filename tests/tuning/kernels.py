"""Kernels to be measured: good ones, and one for each kind of failure."""

import tvm
from tvm import te, topi

from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule
from quake_tvm.tvm_version import tir


def plain(size: int, depth: int = 64) -> tir.PrimFunc:
    """A product without a schedule."""
    x, w = te.placeholder((size, depth), name="x"), te.placeholder((depth, size), name="w")
    return te.create_prim_func([x, w, topi.nn.matmul(x, w)])


def product(size: int, on: str | tvm.target.Target = "native", depth: int = 64) -> tir.PrimFunc:
    """The same product, scheduled."""
    return schedule(plain(size, depth), target(on))


def calling(symbol: str, *arguments: object) -> tir.PrimFunc:
    """A kernel that calls a C function."""
    x = te.placeholder((8,), name="x")

    def body(inputs, outputs):
        call = tir.Evaluate(tir.call_extern("int32", symbol, *arguments))
        return tir.SeqStmt([call, tir.BufferStore(outputs[0], inputs[0][0], [0])])

    return te.create_prim_func([x, te.extern([(8,)], [x], body, dtype="float32")])


def greedy() -> tir.PrimFunc:
    """A kernel that allocates a quarter of a terabyte."""
    x = te.placeholder((8,), name="x")
    between = te.compute((1 << 36,), lambda i: x[i % 8])
    return te.create_prim_func([x, te.compute((8,), lambda i: between[7 * i] + 1)])


def stray() -> tir.PrimFunc:
    """A kernel that stores far out of bounds."""
    x = te.placeholder((8,), name="x")

    def body(inputs, outputs):
        return tir.BufferStore(outputs[0], inputs[0][0], [tir.const(1 << 50, "int64")])

    return te.create_prim_func([x, te.extern([(8,)], [x], body, dtype="float32")])


def unknown() -> tir.PrimFunc:
    """A kernel that TVM cannot compile."""
    x = te.placeholder((8,), name="x")
    no_shape = te.compute(
        x.shape, lambda i: tir.call_intrin("float32", "tirx.tvm_stack_make_shape", x[i])
    )
    return te.create_prim_func([x, no_shape])


def growing() -> tir.PrimFunc:
    """A kernel with a dynamic shape."""
    x = te.placeholder((te.var("n", "int64"),), name="x")
    return te.create_prim_func([x, te.compute(x.shape, lambda i: x[i] + 1)])


BAD = {
    "abort": (calling("abort"), "SIGABRT"),
    "stray": (stray(), "SIGSEGV"),
    "greedy": (greedy(), "bad_alloc"),
    "endless": (calling("sleep", 1000), "no answer in"),
    "missing": (calling("no_such_function"), "undefined symbol"),
    "unknown": (unknown(), "cannot be compiled: .*make_shape"),
    "growing": (growing(), "the shape of x is known only when it runs"),
}
