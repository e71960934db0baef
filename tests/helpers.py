"""Small Relax modules from formulas, and a way to run them."""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax

from quake_tvm.machines.targets import target

Formula = Callable[..., "relax.Expr | tuple[relax.Expr, ...]"]


def c(value: float, dtype: str = "float32") -> relax.Expr:
    """A scalar constant."""
    return relax.const(value, dtype)


def once(expr: relax.Expr) -> relax.Var:
    """A variable for an expression that a formula uses several times, as exporters make it."""
    return expr if isinstance(expr, relax.Var) else relax.BlockBuilder.current().emit(expr)


def module(formula: Formula, *shapes: tuple, dtype: str = "float32") -> tvm.IRModule:
    """A module whose ``main`` computes the formula of tensors with these shapes; default (2, 3)."""
    builder = relax.BlockBuilder()
    params = [
        relax.Var(f"x{i}", relax.TensorType(shape, dtype))
        for i, shape in enumerate(shapes or [(2, 3)])
    ]
    with builder.function("main", params):
        with builder.dataflow():
            result = formula(*params)
            result = relax.Tuple(result) if isinstance(result, tuple) else result
            result = builder.emit_output(result)
        builder.emit_func_output(result)
    return builder.get()


def function(formula: Formula, *shapes: tuple, dtype: str = "float32") -> relax.Function:
    """The Relax function alone."""
    return module(formula, *shapes, dtype=dtype)["main"]


def run(mod: tvm.IRModule, *arrays: np.ndarray) -> np.ndarray:
    """The result of ``main``, compiled with TVM's default schedules."""
    machine = relax.VirtualMachine(tvm.compile(mod, target()), tvm.cpu())
    return machine["main"](*map(tvm.runtime.tensor, arrays)).numpy()
