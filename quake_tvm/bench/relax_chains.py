"""Chains of operators in Relax, and their compilation."""

import tvm
from tvm import relax, tirx

from quake_tvm.compiler import compile

ROWS, ANY = 2, "any"
# The function of a link, and the number of rows.
LINKS = {
    "tanh(x)": (relax.op.tanh, ROWS),
    "x + tanh(x)": (lambda x: relax.op.add(x, relax.op.tanh(x)), ROWS),
    "x + tanh(x), dynamic": (lambda x: relax.op.add(x, relax.op.tanh(x)), ANY),
}


def chain(name: str, length: int) -> tvm.IRModule:
    """A chain of ``length`` links on a small tensor."""
    link, rows = LINKS[name]
    extent = tirx.Var("n", "int64") if rows == ANY else rows
    builder = relax.BlockBuilder()
    value = x = relax.Var("x", relax.TensorType((extent, 64), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            for _ in range(length):
                value = builder.emit(link(value))
            result = builder.emit_output(value)
        builder.emit_func_output(result)
    return builder.get()


def build(mod: tvm.IRModule, method: str) -> None:
    """Compile a chain completely."""
    compile(mod, method=method)
