"""Small Relay modules from formulas, and functions to run them."""

import json
from collections.abc import Callable

import numpy as np
import tvm
from tvm import relay
from tvm.contrib import graph_executor
from tvm.runtime import vm

from quake_tvm.machines.targets import target
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.passes.dialect import call

Formula = Callable[..., relay.Expr]


def c(value: float, dtype: str = "float32") -> relay.Expr:
    """A scalar constant."""
    return relay.const(value, dtype)


def gelu(x: relay.Expr) -> relay.Expr:
    """GELU in ONNX's five nodes."""
    return x * (c(1) + relay.erf(x / c(2**0.5))) * c(0.5)


def silu(x: relay.Expr) -> relay.Expr:
    """SiLU in the importers' form."""
    return x * relay.sigmoid(x)


def quake(
    x: relay.Expr, operator: str, *more: relay.Expr, method: str = "quake3", **attributes: object
) -> relay.Expr:
    """A call of one of our operators, along axis 1 if it is an operator over rows."""
    row = OPERATORS[operator]
    defaults = dict(row.parameters) if row.elementwise else {"axis": 1}
    defaults |= {"keepdims": False} if operator == "logsumexp" else {}
    marks = {"method": method, "ieee": True, "source": ""}
    return call(operator, x, *more, **marks | defaults | attributes)


def module(formula: Formula, *shapes: tuple, dtype: str = "float32") -> tvm.IRModule:
    """A module whose ``main`` computes the formula of tensors with these shapes; default (2, 3)."""
    params = [
        relay.var(f"x{i}", shape=shape, dtype=dtype) for i, shape in enumerate(shapes or [(2, 3)])
    ]
    mod = tvm.IRModule.from_expr(relay.Function(params, formula(*params)))
    return relay.transform.InferType()(mod)


def run(lib: object, *arrays: np.ndarray) -> np.ndarray:
    """The first output of a graph executor's library."""
    machine = graph_executor.GraphModule(lib["default"](tvm.cpu()))
    for i, array in enumerate(arrays):
        machine.set_input(f"x{i}", array)
    machine.run()
    return machine.get_output(0).numpy()


def build(mod: tvm.IRModule, opt_level: int = 3, on: object = "native") -> object:
    """Plain ``relay.build``."""
    with tvm.transform.PassContext(opt_level=opt_level):
        return relay.build(mod, target(on))


def run_vm(executable: vm.Executable, *arrays: np.ndarray) -> np.ndarray:
    """The result of an executable of ``relay.vm.compile``."""
    machine = vm.VirtualMachine(executable, tvm.cpu())
    return machine.invoke("main", *map(tvm.nd.array, arrays)).numpy()


def kernels(lib: object) -> list[str]:
    """The operators that each kernel of a graph executor was fused from."""
    nodes = json.loads(lib.get_graph_json())["nodes"]
    names = [node["attrs"]["func_name"] for node in nodes if node["op"] == "tvm_op"]
    return [name.removeprefix("tvmgen_default_fused_") for name in names]


def random(*shape: int) -> np.ndarray:
    """Random numbers of the magnitude that models have."""
    return np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(np.float32)
