"""Products of bfloat16 pairs, compiled: their values, bits and instructions."""

import re

import ml_dtypes
import numpy as np
import pytest
import tvm
from tvm import relax, te, tirx

import quake_tvm
from quake_tvm.kernels.bfloat16_products import halves, pair_term
from quake_tvm.machines.table import TARGETS
from quake_tvm.machines.targets import runs_here, target
from quake_tvm.numerics.bfloat16_pairs import dot
from quake_tvm.numerics.pair_instructions import has_instruction
from quake_tvm.passes.relax.pack_weights import packed_matmul
from quake_tvm.schedules import schedule
from quake_tvm.schedules.dot_products import accumulate
from tests.helpers import module, once

op, nn = relax.op, relax.op.nn
RNG = np.random.default_rng(0)


def rounded(x):
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


def summed(x, w):
    """The products in the order of the kernels: for each pair the odd number before the even."""
    x, w = (rounded(v).astype(np.float64) for v in (x, w))
    if x.shape[-1] % 2:
        x, w = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)]), np.pad(w, [(0, 1), (0, 0)])
    total = np.zeros((*x.shape[:-1], w.shape[1]), np.float32)
    for k in range(0, len(w), 2):
        for n in (k + 1, k):
            total = (x[..., n, None] * w[n] + total).astype(np.float32)
    return total


def weights(depth, columns):
    return RNG.normal(size=(depth, columns)).astype(np.float32)


def layers(x, w, bias):
    return nn.gelu(once(op.add(op.matmul(x, relax.const(w)), relax.const(bias))))


SHAPES = [(7, 24, 96), (1, 64, 48), (33, 31, 50), (128, 3, 16), (5, 1, 17), (2, 40, 3)]


@pytest.fixture(scope="module")
def products():
    """One model with a product of each shape."""
    inputs = [RNG.normal(size=(rows, depth)).astype(np.float32) for rows, depth, _ in SHAPES]
    constants = [weights(depth, columns) for _, depth, columns in SHAPES]

    def formula(*xs):
        return tuple(op.matmul(x, relax.const(w)) for x, w in zip(xs, constants, strict=True))

    return module(formula, *(x.shape for x in inputs)), inputs, constants


@pytest.mark.parametrize("name", ["native", "x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_bits(products, name):
    mod, inputs, constants = products
    if not runs_here(target(name)):
        pytest.skip(f"this machine does not run {name}")
    found = quake_tvm.compile(mod, name, precision="bfloat16").run(inputs)
    for x, w, y, shape in zip(inputs, constants, found, SHAPES, strict=True):
        np.testing.assert_array_equal(y, summed(x, w), str(shape))


def test_dynamic_rows_have_the_static_bits():
    w, bias = weights(20, 64), weights(1, 64)[0]
    rows = tirx.Var("rows", "int64")
    dynamic = quake_tvm.compile(
        module(lambda x: layers(x, w, bias), (rows, 20)), precision="bfloat16"
    )
    for n in (0, 1, 5, 16, 33):
        x = RNG.normal(size=(n, 20)).astype(np.float32)
        static = module(lambda x: layers(x, w, bias), x.shape)
        (wanted,) = quake_tvm.compile(static, precision="bfloat16").run(x)
        np.testing.assert_array_equal(dynamic.run(x)[0], wanted)


CONVOLUTIONS = [(3, 32, 3), (8, 32, 3), (16, 32, 1), (5, 32, 1), (1, 32, 3), (1, 1, 3)]


@pytest.mark.parametrize(("channels", "filters", "window"), CONVOLUTIONS)
def test_convolutions(channels, filters, window):
    w = RNG.normal(size=(filters, channels, window, window)).astype(np.float32)
    x = RNG.normal(size=(1, channels, 9, 11)).astype(np.float32)
    mod = module(lambda x: nn.conv2d(x, relax.const(w), padding=1), x.shape)
    (found,) = quake_tvm.compile(mod, precision="bfloat16").run(x)
    near = (lambda v: v) if channels == 1 else rounded  # of one channel it is float32
    exact = module(lambda x: nn.conv2d(x, relax.const(near(w)), padding=1), x.shape)
    (wanted,) = quake_tvm.compile(exact).run(near(x))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


# Channels, filters, window, stride.
TRANSPOSED = [(8, 32, 3, 2), (5, 20, 4, 2), (6, 16, 3, 1)]


def test_transposed_convolutions():
    """The result is a float32 one's of rounded operands, and has one size's bits for any size."""
    constants = [RNG.normal(size=(c, o, k, k)).astype(np.float32) for c, o, k, _ in TRANSPOSED]
    inputs = [RNG.normal(size=(1, c, 9, 11)).astype(np.float32) for c, *_ in TRANSPOSED]

    def formula(near):
        return lambda *xs: tuple(
            nn.conv2d_transpose(x, relax.const(near(w)), strides=stride, padding=1)
            for x, w, (*_, stride) in zip(xs, constants, TRANSPOSED, strict=True)
        )

    static = module(formula(np.asarray), *(x.shape for x in inputs))
    found = quake_tvm.compile(static, precision="bfloat16").run(inputs)
    exact = module(formula(rounded), *(x.shape for x in inputs))
    wanted = quake_tvm.compile(exact).run([rounded(x) for x in inputs])
    for y, z, case in zip(found, wanted, TRANSPOSED, strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-4, atol=1e-4, err_msg=str(case))
    n, h, w = (tirx.Var(name, "int64") for name in "nhw")
    of_any = module(formula(np.asarray), *((n, c, h, w) for c, *_ in TRANSPOSED))
    for y, z in zip(
        quake_tvm.compile(of_any, precision="bfloat16").run(inputs), found, strict=True
    ):
        np.testing.assert_array_equal(y, z)


def test_the_instruction_is_used():
    on = target({"kind": "llvm", "mcpu": "znver4"})
    assert has_instruction(on)
    mod = module(lambda x: op.matmul(x, relax.const(weights(64, 96))), (32, 64))
    assembly = quake_tvm.compile(mod, on, precision="bfloat16").kernels.inspect_source("asm")
    assert assembly.count("vdpbf16ps") >= 12
    assert "vdpbf16ps" not in quake_tvm.compile(mod, on).kernels.inspect_source("asm")


@pytest.fixture(scope="module")
def half_products():
    """A product of bfloat16 numbers and one of float16 weights."""
    x, rows = te.placeholder((8, 64), name="x"), te.placeholder((8, 64), "uint16", "rows")
    pairs = te.placeholder((2, 32, 48), "int32", "pairs")
    narrow = te.placeholder((2, 64, 48), "float16", "narrow")
    return {
        "rounded": te.create_prim_func([x, halves(x)]),
        "paired": te.create_prim_func([rows, pairs, packed_matmul(rows, pairs, 96, pair_term)]),
        "widened": te.create_prim_func([x, narrow, packed_matmul(x, narrow, 96)]),
    }


WITHOUT_VL = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mattr": ["+avx512bf16", "+avx2"]}
# Mnemonics, and what a target that has them reports.
MNEMONICS = {
    r"\bvdpbf16ps\b|\bvcvtneps2bf16\b": "avx512bf16",
    r"\bbfmlal[bt]\b|\bbfcvtn": "bf16",
    r"\bvcvtph2ps\b": "f16c",
    r"\bfcvtl": "fp-armv8",
}


# One name for each CPU.
CPUS = {(row.mtriple, row.mcpu): name for name, row in TARGETS.items()}


@pytest.mark.parametrize("name", [*CPUS.values(), WITHOUT_VL], ids=str)
def test_targets_get_the_instructions_that_they_have(half_products, name):
    on = target(name)
    scheduled = {
        key: schedule(f, on).with_attr("global_symbol", key) for key, f in half_products.items()
    }
    assembly = tvm.compile(tvm.IRModule(scheduled), on).mod.inspect_source("asm")
    has = tvm.target.codegen.target_has_features
    for mnemonic, feature in MNEMONICS.items():
        assert bool(re.search(mnemonic, assembly)) == has(feature, on), mnemonic


def test_only_sums_from_zero_take_the_product_in():
    sums, pair = tirx.decl_buffer((4,), "float32"), tirx.const(7, "int32")
    one, zero = (tirx.const(n, "float32") for n in (1, 0))

    def stored(value):
        return tvm.tirx.PrimFunc([sums], tirx.BufferStore(sums, value, [0]))

    before = stored(sums[0] + dot(zero, pair, pair))
    after = stored(dot(sums[0], pair, pair))
    tvm.ir.assert_structural_equal(accumulate(before), after)
    other = stored(sums[0] + dot(one, pair, pair))
    tvm.ir.assert_structural_equal(accumulate(other), other)


def test_an_unknown_precision():
    with pytest.raises(quake_tvm.QuakeError, match="unknown precision 'int3'"):
        quake_tvm.compile(module(nn.gelu), precision="int3")
