"""Small Relay modules from formulas, and ways to run them."""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relay
from tvm.contrib import graph_executor

from quake_tvm.named_targets import target

Formula = Callable[..., relay.Expr]


def c(value: float, dtype: str = "float32") -> relay.Expr:
    """A scalar constant."""
    return relay.const(value, dtype)


def module(formula: Formula, *shapes: tuple, dtype: str = "float32") -> tvm.IRModule:
    """``main`` computes the formula of tensors with these shapes; one of (2, 3) by default."""
    params = [
        relay.var(f"x{i}", shape=shape, dtype=dtype) for i, shape in enumerate(shapes or [(2, 3)])
    ]
    mod = tvm.IRModule.from_expr(relay.Function(params, formula(*params)))
    return relay.transform.InferType()(mod)


def run(lib: object, *arrays: np.ndarray) -> np.ndarray:
    """The first output of what ``relay.build`` made for the graph executor."""
    machine = graph_executor.GraphModule(lib["default"](tvm.cpu()))
    for i, array in enumerate(arrays):
        machine.set_input(f"x{i}", array)
    machine.run()
    return machine.get_output(0).numpy()


def build(mod: tvm.IRModule, opt_level: int = 3, on: object = "native") -> object:
    """``relay.build`` as it comes."""
    with tvm.transform.PassContext(opt_level=opt_level):
        return relay.build(mod, target(on))
