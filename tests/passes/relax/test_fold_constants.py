"""Expressions of constants are folded, and a function is compiled once for all its calls."""

import numpy as np
import tvm
from tvm import relax

from quake_tvm.passes.relax import fold_constants
from quake_tvm.passes.relax.fold_constants import FoldConstants

op = relax.op


def clips(bounds: list[float]) -> tvm.IRModule:
    """A chain of clips from below. Their bounds are computed from constants."""
    builder = relax.BlockBuilder()
    value = x = relax.Var("x", relax.TensorType((2, 8), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            for bound in bounds:
                twice = builder.emit(op.multiply(relax.const(bound), relax.const(2.0)))
                value = builder.emit(op.maximum(value, twice))
            result = builder.emit_output(value)
        builder.emit_func_output(result)
    return relax.transform.LegalizeOps()(builder.get())


def constants(mod: tvm.IRModule) -> list[float]:
    """The numbers in the module's main function, in order."""
    found: list[float] = []

    def see(expr: relax.Expr) -> None:
        if isinstance(expr, type(relax.const(0.0))):
            found.append(float(expr.value.numpy()))

    relax.analysis.post_order_visit(mod["main"], see)
    return found


def test_a_function_is_compiled_once(monkeypatch):
    compiled = []

    def compile_(*args):
        compiled.append(args)
        return original(*args)

    original = fold_constants._compile
    monkeypatch.setattr(fold_constants, "_compile", compile_)
    bounds = [0.5, 1.5, 0.5, 2.5]
    mod = FoldConstants()(clips(bounds))
    assert len(compiled) == 1
    assert constants(mod) == [2 * bound for bound in bounds]
    assert len(mod["main"].body.blocks[0].bindings) == len(bounds) + 1


def test_nothing_is_kept_behind_the_pass():
    FoldConstants()(clips([1.0]))
    assert fold_constants._built is None


def test_functions_of_one_shape_are_not_mixed_up():
    builder = relax.BlockBuilder()
    one, two = relax.const(np.float32(3)), relax.const(np.float32(4))
    with builder.function("main", []):
        with builder.dataflow():
            both = [builder.emit(op.add(one, two)), builder.emit(op.multiply(one, two))]
            result = builder.emit_output(relax.Tuple(both))
        builder.emit_func_output(result)
    folded = FoldConstants()(relax.transform.LegalizeOps()(builder.get()))
    assert constants(folded) == [7, 12]
