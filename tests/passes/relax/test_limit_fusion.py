"""Kernels of chains: with the length their number grows, their size does not. Short chains fuse."""

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import relax

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.numerics import reference
from quake_tvm.passes.kernel_size import size
from quake_tvm.passes.relax.limit_fusion import LARGEST, LimitFusion
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.tvm_version import tir

op = relax.op
# One link of each kind, in Relax and in numpy.
LINKS = {
    "tanh": (op.tanh, np.tanh),
    "sigmoid": (op.sigmoid, lambda x: reference.sigmoid(reference.NUMPY, x)),
    "residual": (lambda x: x + op.tanh(x), lambda x: x + np.tanh(x)),
    "gate": (
        lambda x: op.multiply(op.sigmoid(x), op.tanh(x)),
        lambda x: reference.sigmoid(reference.NUMPY, x) * np.tanh(x),
    ),
    "leaky": (lambda x: op.nn.leakyrelu(x, 0.5), lambda x: np.where(x > 0, x, x / 2)),
    "turned": (lambda x: op.tanh(op.flip(x, 1)), lambda x: np.tanh(np.flip(x, 1))),
}

# Links that repeat their operand in a condition.
CONDITIONS = {
    "capped": lambda x: op.where(op.greater(x, _number(1.0)), _number(1.0), x),
    "where": lambda x: op.where(op.greater(x, _number(0.0)), x, op.multiply(x, _number(0.5))),
    "threshold": lambda x: op.where(op.greater(x, _number(0.1)), x, _number(0.0)),
}


def _number(value: float) -> relax.Expr:
    return relax.const(value, "float32")


def chain(link: str, length: int, product: bool = False, rows: int | tir.Var = 2) -> tvm.IRModule:
    """A chain of ``length`` links, after a product if ``product`` is set."""
    links = CONDITIONS[link] if link in CONDITIONS else LINKS[link][0]
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((rows, 64), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            value = x
            if product:
                value = builder.emit(op.matmul(x, relax.const(np.eye(64, dtype="float32"))))
            for _ in range(length):
                value = builder.emit(links(value))
            result = builder.emit_output(value)
        builder.emit_func_output(result)
    return builder.get()


def kernels(mod: tvm.IRModule, method: str) -> list[tir.PrimFunc]:
    """The scheduled kernels of the module."""
    native = target("native")
    with native:
        mod = Pipeline.of(native, method=method).upto("schedule")(mod)
    return [f for _, f in mod.functions_items() if isinstance(f, tir.PrimFunc)]


def some_rows() -> tir.Var:
    return tir.Var("n", "int64")


@pytest.mark.parametrize("link", LINKS)
def test_kernels_of_any_number_of_rows_are_cut_as_those_of_some(link):
    static, dynamic = (len(kernels(chain(link, 12, rows=n), "quake2")) for n in (2, some_rows()))
    assert dynamic == static
    sizes = [size(f).own for f in kernels(chain(link, 12, rows=some_rows()), "quake2")]
    assert max(sizes) <= 2 * LARGEST


@pytest.mark.parametrize("method", ["exact", "quake5"])
@pytest.mark.parametrize("link", LINKS)
def test_kernels_are_no_larger_for_a_longer_chain(link, method):
    sizes = [max(size(f).own for f in kernels(chain(link, n), method)) for n in (25, 50)]
    assert max(sizes) <= 2 * LARGEST


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("product", [False, True])
def test_a_long_chain_gives_what_its_links_do(link, product):
    x = np.linspace(-1.5, 1.5, 128, dtype="float32").reshape(2, 64)
    expected = x.astype("float64")
    for _ in range(40):
        expected = LINKS[link][1](expected)
    rows = some_rows() if product else 2
    model = quake_tvm.compile(chain(link, 40, product, rows), method="quake5")
    assert np.allclose(model.run([x])[0], expected, rtol=1e-4, atol=1e-5)


def test_small_kernels_stay():
    passes = [
        relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FuseOps(),
    ]
    fused = tvm.transform.Sequential(passes)(chain("sigmoid", 3))
    assert LimitFusion()(fused).same_as(fused)


def nested(function: tir.PrimFunc) -> int:
    """How many conditions of selects are in one another."""
    deepest = depth = 0

    def select(node: tir.Select, visitor: tvm_ffi.structural.StructuralVisitor) -> None:
        nonlocal deepest, depth
        depth += 1
        deepest = max(deepest, depth)
        visitor.visit(node.condition)
        depth -= 1
        visitor.visit(node.true_value)
        visitor.visit(node.false_value)

    tvm_ffi.structural.structural_visit(function.body, [(tir.Select, select)])
    return deepest


@pytest.mark.parametrize("rows", ["2", "n"])
@pytest.mark.parametrize("link", CONDITIONS)
def test_conditions_that_repeat_their_operand_are_cut_after_a_few(link, rows):
    """TVM's simplifier takes ten times as long for each condition inside another one."""
    mod = chain(link, 12, rows=some_rows() if rows == "n" else 2)
    assert 1 <= max(nested(f) for f in kernels(mod, "quake2")) <= 3
