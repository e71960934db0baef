"""Chains from bytes to bytes become tables that have what the chain gives, for every byte."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.numerics import reference
from quake_tvm.passes.relax import byte_table
from quake_tvm.passes.relax.byte_table import look_up, table_of
from quake_tvm.passes.relax.graph import Graph, op_name
from quake_tvm.passes.relax.recognize_tables import RecognizeTables
from quake_tvm.report import TABLE
from tests.helpers import c, module, once

RNG = np.random.default_rng(0)
op, nn = relax.op, relax.op.nn
BYTES = {kind: np.arange(np.iinfo(kind).min, np.iinfo(kind).max + 1) for kind in ("int8", "uint8")}
F = np.float32


def rounded(function):
    """The function in float64 of float32, rounded to float32."""
    return lambda x: F(function(np.float64(x)))


OPERATORS = {
    "exp": (op.exp, rounded(np.exp)),
    "sigmoid": (op.sigmoid, rounded(lambda x: reference.sigmoid(reference.NUMPY, x))),
    "tanh": (op.tanh, rounded(np.tanh)),
    "erf": (op.erf, rounded(reference.NUMPY.erf)),
    "gelu": (nn.gelu, rounded(lambda x: reference.gelu(reference.NUMPY, x))),
    "silu": (nn.silu, rounded(lambda x: reference.silu(reference.NUMPY, x))),
    "leaky_relu": (
        lambda x: nn.leakyrelu(x, 0.2),
        lambda x: np.where(x > 0, x, F(np.float64(F(0.2)) * x)),
    ),
    "hard_swish": (
        lambda x: op.multiply(
            x, once(op.divide(once(op.clip(once(op.add(x, c(3.0))), 0, 6)), c(6.0)))
        ),
        lambda x: x * (np.clip(x + F(3), F(0), F(6)) / F(6)),
    ),
}


def real(x, scale, zero):
    return once(op.dequantize(x, c(scale), relax.const(zero, x.ty.dtype.dtype)))


def quantized(x, scale, zero, kind):
    return once(op.quantize(once(x), c(scale), relax.const(zero, kind), out_dtype=kind))


def near(x, scale, zero, kind):
    limits = np.iinfo(kind)
    return np.clip(np.rint(F(x) / F(scale)) + zero, limits.min, limits.max).astype(kind)


def scales():
    """Fifty pairs of scales and zero points, and of types."""
    for k in range(50):
        kinds = [("int8", "uint8")[(k >> j) % 2] for j in range(2)]
        steps = np.exp2(RNG.uniform(-7, -2, 2)).astype(F)
        zeros = [int(RNG.choice(BYTES[kind][64:192])) for kind in kinds]
        yield kinds, [float(s) for s in steps], zeros


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("inner", [False, True])
def test_every_byte(operator, inner):
    """Chains with one quantization, and with another one in the middle."""
    build, exact = OPERATORS[operator]
    for (kind, to), (step, other), (zero, point) in scales():

        def chain(x):
            y = once(build(real(x, step, zero)))  # noqa: B023
            if inner:
                y = real(quantized(y, 0.03, 3, "int8"), 0.03, 3)
                y = op.multiply(y, real(x, step, zero))  # noqa: B023
            return quantized(y, other, point, to)  # noqa: B023

        mod = RecognizeTables()(module(chain, (2, 5), dtype=kind))
        call, *rest = Graph(mod["main"]).values.values()
        assert all(isinstance(other, relax.Var) for other in rest)
        assert op_name(call) == byte_table.NAME
        x = F(BYTES[kind] - zero) * F(step)
        with np.errstate(over="ignore"):
            y = exact(x)
        if inner:
            y = F(near(y, 0.03, 3, "int8").astype(np.int32) - 3) * F(0.03) * x
        np.testing.assert_array_equal(table_of(call), near(y, other, point, to))


def one(x, scale=0.1, zero=3):
    return once(real(x, scale, zero))


def check(before, after, *shapes):
    found = RecognizeTables()(module(before, *shapes, dtype="uint8"))
    tvm.ir.assert_structural_equal(found, module(after, *shapes, dtype="uint8"))


def test_moves_end_a_chain():
    """A tensor that is moved in the middle has two tables."""

    def rescaled(x, scale):
        return quantized(one(x), scale, 3, "uint8")

    def expected(x, scale):
        y = near(F(BYTES["uint8"] - 3) * F(0.1), scale, 3, "uint8")
        return once(look_up(x, y, "dequantize+quantize"))

    def before(x):
        return rescaled(once(op.reshape(rescaled(x, 0.3), (5, 2))), 0.2)

    def after(x):
        return expected(once(op.reshape(expected(x, 0.3), (5, 2))), 0.2)

    check(before, after, (2, 5))


def test_bytes_that_others_read_too():
    def before(x):
        y = quantized(op.sigmoid(one(x)), 0.01, 0, "uint8")
        z = quantized(op.multiply(real(y, 0.01, 0), one(x)), 0.2, 0, "uint8")
        return y, once(op.max(z))

    found = RecognizeTables()(module(before, (2, 5), dtype="uint8"))
    kinds = [op_name(call) for call in Graph(found["main"]).values.values()]
    assert kinds == [byte_table.NAME, byte_table.NAME, "relax.max", ""]


@pytest.mark.parametrize(
    "chain",
    [
        lambda x, y: quantized(op.add(one(x), one(y)), 0.2, 0, "uint8"),
        lambda x, y: op.sigmoid(one(x)),
        lambda x, y: quantized(op.max(once(op.exp(one(x)))), 0.2, 0, "int8"),
        lambda x, y: quantized(op.log(one(x, 0.1, 3)), 0.2, 0, "uint8"),
    ],
)
def test_others_stay(chain):
    """Two tensors, real results, a maximum in between, and values that no byte has."""
    mod = module(chain, (2, 5), (2, 5), dtype="uint8")
    tvm.ir.assert_structural_equal(RecognizeTables()(mod), mod)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("shape", [(0, 3), (1,), (7,), (3, 100), (2, 256, 5)])
def test_compiled(kind, shape):
    def chain(x):
        return quantized(op.sigmoid(real(x, 0.05, 3)), 1 / 256, -128, "int8")

    x = RNG.choice(BYTES[kind], shape).astype(kind)
    model = quake_tvm.compile(module(chain, shape, dtype=kind))
    y = near(OPERATORS["sigmoid"][1](F(x.astype(int) - 3) * F(0.05)), 1 / 256, -128, "int8")
    np.testing.assert_array_equal(model.run(x)[0], y)
    if x.size == 0:
        return
    (site,) = model.report.sites
    assert (site.operator, site.method, site.relative) == (TABLE, "exact", 0)
    assert site.source == "dequantize+sigmoid+quantize"


def test_integers_wrap_around():
    """As in the kernels that a table replaces."""

    def chain(x):
        wide = once(op.multiply(once(op.astype(x, "int32")), c(1 << 24, "int32")))
        return op.astype(once(op.divide(wide, c(1 << 20, "int32"))), "int8")

    mod = RecognizeTables()(module(chain, (256,), dtype="uint8"))
    (call,) = Graph(mod["main"]).values.values()
    wide = BYTES["uint8"].astype(np.int32) * np.int32(1 << 24)
    np.testing.assert_array_equal(table_of(call), (wide // (1 << 20)).astype(np.int8))


def test_integers_that_float64_does_not_have_stay():
    def chain(x):
        wide = once(op.multiply(once(op.astype(x, "int64")), c((1 << 60) + 1, "int64")))
        return op.astype(wide, "uint8")

    mod = module(chain, (256,), dtype="uint8")
    tvm.ir.assert_structural_equal(RecognizeTables()(mod), mod)
