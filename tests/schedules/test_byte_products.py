"""Products of bytes, compiled: their numbers on every target, and their instructions."""

import numpy as np
import pytest
from tvm import relax, tirx

import quake_tvm
from quake_tvm.emulation.board import Board
from quake_tvm.machines.targets import runs_here, target
from tests.emulation.machines import emulated
from tests.helpers import module, once
from tests.schedules.test_bytes import loop

op, nn = relax.op, relax.op.nn
RNG = np.random.default_rng(0)
ON_X86 = ["native", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
ON_ARM = ["cortex-a72", "neoverse-n1", "neoverse-v1"]
# Rows, depth, columns.
SHAPES = [(7, 24, 96), (1, 64, 48), (33, 31, 50), (128, 3, 16), (5, 1, 17), (2, 41, 3), (3, 18, 1)]


def on(name):
    found = target(name)
    if not runs_here(found):
        pytest.skip(f"this machine does not run {name}")
    return found


def bytes_of(shape, dtype):
    """Random bytes, among which the least and the greatest are frequent."""
    least, greatest = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = RNG.integers(least - 20, greatest + 21, shape)
    return np.clip(values, least, greatest).astype(dtype)


def integer_products(dtype):
    """A module with a product of each shape, its inputs, and the results."""
    inputs = [bytes_of((rows, depth), dtype) for rows, depth, _ in SHAPES]
    weights = [bytes_of((depth, columns), "int8") for _, depth, columns in SHAPES]

    def formula(*xs):
        pairs = zip(xs, weights, strict=True)
        return tuple(op.matmul(x, relax.const(w), out_dtype="int32") for x, w in pairs)

    mod = module(formula, *(x.shape for x in inputs), dtype=dtype)
    return mod, inputs, [x.astype(np.int64) @ w for x, w in zip(inputs, weights, strict=True)]


INTEGERS = {dtype: integer_products(dtype) for dtype in ("uint8", "int8")}
WEIGHTS = [RNG.normal(size=(depth, columns)).astype(np.float32) for _, depth, columns in SHAPES]
FLOATS = [RNG.normal(size=(rows, depth)).astype(np.float32) for rows, depth, _ in SHAPES]


def float_products():
    return module(
        lambda *xs: tuple(op.matmul(x, relax.const(w)) for x, w in zip(xs, WEIGHTS, strict=True)),
        *(x.shape for x in FLOATS),
    )


def from_bytes(x, w):
    """The product as ``precision="int8"`` defines it, in float64 until the exact sums."""
    x32, one = x.astype(np.float32), np.float32(1 / 255)
    low, high = np.minimum(x32.min(1), 0), np.maximum(x32.max(1), 0)
    step = (high.astype(np.float64) * one - low * one).astype(np.float32)
    scale = np.maximum(np.float32(2.0**-108), step)
    inverse = (np.float32(1) / scale).astype(np.float64)
    zero = np.rint(-low * inverse)
    q = np.clip(np.rint(x * inverse[:, None] + zero[:, None]), 0, 255) - zero[:, None]
    factors = np.abs(w).max(0) / np.float32(127)
    p = np.rint(w / factors.astype(np.float64))
    return (q @ p).astype(np.float32) * factors * scale[:, None]


@pytest.mark.parametrize("name", ON_X86)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_products_are_exact(dtype, name):
    mod, inputs, wanted = INTEGERS[dtype]
    for y, exact, shape in zip(
        quake_tvm.compile(mod, on(name)).run(inputs), wanted, SHAPES, strict=True
    ):
        np.testing.assert_array_equal(y, exact, str(shape))


@pytest.mark.parametrize("name", ON_X86)
def test_float_products_from_bytes(name):
    found = quake_tvm.compile(float_products(), on(name), precision="int8").run(FLOATS)
    for x, w, y, shape in zip(FLOATS, WEIGHTS, found, SHAPES, strict=True):
        np.testing.assert_array_equal(y, from_bytes(x, w), str(shape))


def layers(x, w, bias):
    return nn.gelu(once(op.add(op.matmul(x, relax.const(w)), relax.const(bias))))


def test_dynamic_rows_have_the_static_bits():
    w, bias = RNG.normal(size=(2, 20, 64)).astype(np.float32)[0], np.ones(64, np.float32)
    batch, rows = (tirx.Var(name, "int64") for name in ("batch", "rows"))
    dynamic = quake_tvm.compile(
        module(lambda x: layers(x, w, bias), (batch, rows, 20)), precision="int8"
    )
    for shape in ((1, 0, 20), (1, 1, 20), (2, 5, 20), (1, 33, 20), (3, 16, 20)):
        x = RNG.normal(size=shape).astype(np.float32)
        static = quake_tvm.compile(module(lambda x: layers(x, w, bias), shape), precision="int8")
        np.testing.assert_array_equal(dynamic.run(x)[0], static.run(x)[0])


@pytest.mark.parametrize("name", ON_X86)
def test_rows_of_special_values(name):
    w = RNG.normal(size=(40, 32)).astype(np.float32)
    w[:, 3] = 0
    x = RNG.normal(size=(9, 40)).astype(np.float32)
    plain = x.copy()
    x[1], x[2, 7], x[3, 0], x[4, 39] = 0, np.nan, np.inf, -np.inf
    x[5] *= 1e-42
    x[6, :2] = np.finfo(np.float32).max * np.array([1, -1], np.float32)
    mod = module(lambda x: op.matmul(x, relax.const(w)), x.shape)
    model = quake_tvm.compile(mod, on(name), precision="int8")
    (y,), (without,) = model.run(x), model.run(plain)
    np.testing.assert_array_equal(y[[0, 7, 8]], without[[0, 7, 8]])
    assert not y[1].any()
    assert np.isnan(y[2:5]).all()
    assert (np.abs(y[5]) < 1e-28).all()
    large = x[6].astype(np.float64) @ w
    few = np.abs(large) < 3e38
    np.testing.assert_allclose(y[6, few], large[few], rtol=0.05, atol=1e37)
    assert np.isinf(y[6, np.abs(large) > 4e38]).all()
    assert not without[:, 3].any()


@pytest.mark.parametrize(
    "w",
    [np.full((4, 32), n, np.float32) for n in (np.inf, np.nan, 1e30)]
    + [np.zeros((66000, 16), np.float32)],
    ids=["infinite", "nan", "large", "deep"],
)
def test_other_products_stay_float32(w):
    x = RNG.normal(size=(3, len(w))).astype(np.float32)
    mod = module(lambda x: op.matmul(x, relax.const(w)), x.shape)
    (wanted,), (found,) = (
        quake_tvm.compile(mod, precision=precision).run(x) for precision in ("float32", "int8")
    )
    np.testing.assert_array_equal(found, wanted)


def requantized(x, w, start, factors):
    """What follows an integer product in a quantized model."""
    sums = op.add(op.matmul(x, relax.const(w), out_dtype="int32"), relax.const(start))
    scaled = op.round(op.multiply(op.astype(sums, "float32"), relax.const(factors)))
    return op.astype(op.clip(op.add(scaled, relax.const(np.float32(120))), 0, 255), "uint8")


@pytest.mark.parametrize("name", ["native", "x86-64-v3"])
def test_requantization(name):
    x, w = bytes_of((20, 64), "uint8"), bytes_of((64, 96), "int8")
    start = -128 * w.sum(0, np.int32)
    factors = RNG.uniform(1e-4, 3e-3, 96).astype(np.float32)
    mod = module(lambda x: requantized(x, w, start, factors), x.shape, dtype="uint8")
    (found,) = quake_tvm.compile(mod, on(name)).run(x)
    exact = (x.astype(np.int64) @ w + start).astype(np.float32)
    np.testing.assert_array_equal(found, np.clip(np.rint(exact * factors) + 120, 0, 255))


# Channels, filters, window, stride, padding, groups, dilation.
CONVOLUTIONS = [
    (16, 32, 1, 1, 0, 1, 1),
    (3, 32, 3, 2, 1, 1, 1),
    (5, 24, 3, 1, 1, 1, 2),
    (8, 8, 3, 1, 1, 8, 1),
    (8, 16, 3, 1, 1, 2, 1),
    (7, 3, 5, 1, 2, 1, 1),
    (12, 20, 1, 2, 0, 1, 1),
    (1, 1, 3, 1, 1, 1, 1),
    (33, 33, 5, 2, 2, 33, 1),
    (20, 20, 3, 1, 2, 20, 2),
    (12, 36, 3, 1, 1, 2, 1),
    (128, 64, 3, 1, 1, 2, 1),
]


def convolved(x, w, stride, padding, groups, dilation):
    """The sums of a convolution."""
    x = np.pad(x.astype(np.int64), [(0, 0)] * 2 + [(padding, padding)] * 2)
    reach = (w.shape[-1] - 1) * dilation
    height, width = ((n - reach - 1) // stride + 1 for n in x.shape[2:])
    total = np.zeros((len(x), groups, len(w) // groups, height, width), np.int64)
    for i, j in np.ndindex(*w.shape[2:]):
        rows, columns = (
            slice(n * dilation, n * dilation + (size - 1) * stride + 1, stride)
            for n, size in ((i, height), (j, width))
        )
        seen = x[:, :, rows, columns].reshape(len(x), groups, -1, height, width)
        taps = w[:, :, i, j].reshape(groups, -1, w.shape[1])
        total += np.einsum("ngcyx,goc->ngoyx", seen, taps)
    return total.reshape(len(x), len(w), height, width)


def convolutions(dtype, cases):
    """A module, its inputs, and the results.

    Each convolution comes also with its pixels surrounded by 7, as by a zero point.
    """
    inputs, wanted, formulas = [], [], []
    for channels, filters, window, stride, padding, groups, dilation in cases:
        x = bytes_of((2, channels, 9, 11), dtype)
        w = bytes_of((filters, channels // groups, window, window), "int8")
        inputs.append(x)
        options = {"strides": stride, "groups": groups, "dilation": dilation}

        def plain(x, w=w, padding=padding, options=options):
            return nn.conv2d(x, relax.const(w), padding=padding, out_dtype="int32", **options)

        def surrounded(x, plain=plain, around=[0] * 4 + [padding] * 4):
            return plain(once(nn.pad(x, around, pad_value=7)), padding=0)

        formulas += [plain, surrounded]
        wide = np.pad(x, [(0, 0)] * 2 + [(padding, padding)] * 2, constant_values=7)
        rest = groups, dilation
        wanted += [convolved(x, w, stride, padding, *rest), convolved(wide, w, stride, 0, *rest)]

    def formula(*xs):
        return tuple(f(xs[k // 2]) for k, f in enumerate(formulas))

    return module(formula, *(x.shape for x in inputs), dtype=dtype), inputs, wanted


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ON_X86)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_convolutions_are_exact(dtype, name):
    mod, inputs, wanted = convolutions(dtype, CONVOLUTIONS)
    for k, found in enumerate(quake_tvm.compile(mod, on(name)).run(inputs)):
        np.testing.assert_array_equal(found, wanted[k], str(CONVOLUTIONS[k // 2]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_ARM)
def test_arm_has_the_same_numbers(name):
    there = emulated(name)
    with Board(there) as own, quake_tvm.connect(f"127.0.0.1:{own.port}") as connection:
        for mod, inputs, wanted in (*INTEGERS.values(), convolutions("uint8", CONVOLUTIONS[:9:2])):
            for y, exact in zip(
                connection.load(quake_tvm.compile(mod, there)).run(inputs), wanted, strict=True
            ):
                np.testing.assert_array_equal(y, exact)
        model = quake_tvm.compile(float_products(), there, precision="int8")
        for x, w, y in zip(FLOATS, WEIGHTS, connection.load(model).run(FLOATS), strict=True):
            np.testing.assert_array_equal(y, from_bytes(x, w))


@pytest.mark.parametrize(
    ("cpu", "instruction"),
    [("znver4", "vpdpbusd"), ("alderlake", "vpdpbusd"), ("x86-64-v3", "vpmaddwd")],
)
def test_instructions_and_epilogue(cpu, instruction):
    w, ones = bytes_of((64, 96), "int8"), np.ones(96, np.float32)
    mod = module(lambda x: requantized(x, w, ones.astype("int32"), ones), (32, 64), dtype="uint8")
    machine = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": cpu}
    assembly = quake_tvm.compile(mod, machine).kernels.inspect_source("asm")
    step = loop(assembly, instruction)
    assert sum(instruction in line for line in step) >= 8
    assert not any("rsp" in line for line in step)  # all sums stay in registers
    assert assembly.count("vcvtdq2ps") >= 3  # the requantization, in vectors
    assert "vcvtsi2ss" not in assembly
