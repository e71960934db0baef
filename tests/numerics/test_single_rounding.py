"""On CPUs without a fused multiply-add, kernels keep their bits and their bounds."""

import json
from fractions import Fraction

import numpy as np
import pytest
import tvm
from tvm import te

import quake_tvm
from quake_tvm.accuracy.float32_inputs import special_inputs
from quake_tvm.machines.targets import runs_here, target
from quake_tvm.numerics import single_rounding
from quake_tvm.numerics.operators import bound
from quake_tvm.tvm_version import RELAY, fma

from . import test_bits

COUNT = 1 << 14
X86 = {"kind": "llvm", "mtriple": "x86_64-linux-gnu"}
WITHOUT = {
    "x86-64-v2": target("x86-64-v2"),
    "x86-64": target({**X86, "mcpu": "x86-64"}),
    "AVX": target({**X86, "mcpu": "sandybridge"}),
}


def test_who_has_the_instruction():
    assert not any(map(single_rounding.has_instruction, WITHOUT.values()))
    assert RELAY or not single_rounding.has_instruction(target("wasm32"))
    for name in ("x86-64-v3", "x86-64-v4", "aarch64", "armv7"):
        assert single_rounding.has_instruction(target(name))


def kernel(on: tvm.target.Target, count: int, dtype: str = "float32"):
    """(function of three arrays, assembly)"""
    places = [te.placeholder((count,), dtype, name=name) for name in "abc"]
    y = te.compute((count,), lambda i: fma(*(place[i] for place in places)), name="y")
    if RELAY:
        schedule = te.create_schedule(y.op)
        schedule[y].vectorize(schedule[y].split(y.op.axis[0], 8)[1])
        built = function = tvm.build(schedule, [*places, y], on)
        asm, array = built.get_source("asm"), tvm.nd.array
    else:
        from quake_tvm.schedules import schedule as scheduled

        built = tvm.compile(scheduled(te.create_prim_func([*places, y]), on), target=on)
        function, asm, array = built["main"], built.mod.inspect_source("asm"), tvm.runtime.tensor

    def run(*arrays: np.ndarray) -> np.ndarray:
        y = array(np.zeros(count, dtype))
        function(*map(array, arrays), y)
        return y.numpy()

    return run, asm


def half_way(rng: np.random.Generator) -> list[np.ndarray]:
    """Sums near the middle of two floats, closer to it than float64 can resolve."""
    a, b = (rng.integers(1, 1 << 12, COUNT) * 2 + 1 for _ in range(2))
    product = a.astype(np.int64) * b
    size = np.floor(np.log2(product)).astype(int)
    # Half an ulp of c is about the product's leading bit.
    c = np.ldexp(1.0 + rng.integers(0, 1 << 23, COUNT) * 2.0**-23, size + 24)
    scale = rng.choice([-1.0, 1.0], COUNT)
    # The rest of the product is much smaller: one factor is near a power of two.
    near = rng.random(COUNT) < 0.5
    a = np.where(near, np.ldexp(1 + rng.integers(-2, 3, COUNT) * 2.0**-23, size), a)
    b = np.where(near, 1 + rng.integers(-2, 3, COUNT) * 2.0**-23, b)
    return [x.astype(np.float32) for x in (a * scale, b, c)]


def any_bits(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 1 << 32, COUNT, dtype=np.uint32).view(np.float32) for _ in range(3)]


def tiny(rng: np.random.Generator) -> list[np.ndarray]:
    """Results that are subnormal or just above."""
    a, b, c = half_way(rng)
    return [np.ldexp(a, -70), np.ldexp(b, -75), np.ldexp(c, -145)]


def special(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.choice(special_inputs(), COUNT) for _ in range(3)]


def exact(a: float, b: float, c: float) -> np.float32:
    """a*b + c of finite numbers, rounded once: the best of the neighbours of float64's result."""
    value = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    with np.errstate(over="ignore"):
        guess = np.float32(float(value))
    if not np.isfinite(guess) or value == 0:
        return guess
    around = [np.nextafter(guess, np.float32(s)) for s in (-np.inf, np.inf)] + [guess]

    def distance(x: np.float32) -> tuple[Fraction, int]:
        return abs(Fraction(float(x)) - value), int(x.view(np.uint32)) & 1

    return min((x for x in around if np.isfinite(x)), key=distance)


@pytest.mark.parametrize("name", WITHOUT)
def test_a_fused_product_is_rounded_once(name):
    on = WITHOUT[name]
    if not runs_here(on):
        pytest.skip("this machine does not run it")
    run, asm = kernel(on, COUNT)
    assert "fmaf" not in asm
    rng = np.random.default_rng(0)
    twice = 0
    for make in (half_way, any_bits, tiny, special):
        a, b, c = make(rng)
        found = run(a, b, c)
        with np.errstate(all="ignore"):
            plain = (a.astype(np.float64) * b + c).astype(np.float32)
        finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
        np.testing.assert_array_equal(found[~finite], plain[~finite])
        chosen = np.flatnonzero(finite & (np.abs(plain) < 3e38))[: 1 << 11]
        expected = np.float32([exact(a[k], b[k], c[k]) for k in chosen])
        np.testing.assert_array_equal(found[chosen], expected)
        twice += int(np.sum(plain[chosen] != expected))
    assert twice > 20  # float64 alone would not suffice


@pytest.mark.parametrize("name", WITHOUT)
def test_float64_is_rounded_once_too(name):
    on = WITHOUT[name]
    if not runs_here(on):
        pytest.skip("this machine does not run it")
    run, _ = kernel(on, 97, "float64")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 97))
    c = -a * b * (1 + rng.integers(-2, 3, 97) * 2.0**-52)
    exactly = [
        float(Fraction(x) * Fraction(y) + Fraction(z)) for x, y, z in zip(a, b, c, strict=True)
    ]
    np.testing.assert_array_equal(run(a, b, c), exactly)
    assert np.any(a * b + c != exactly)


@pytest.mark.parametrize(("name", "method"), [("x86-64-v2", "quake5"), ("x86-64", "quake3")])
def test_every_operator_has_the_bits_of_machines_with_the_instruction(name, method):
    on = WITHOUT[name]
    if not runs_here(on):
        pytest.skip("this machine does not run it")
    golden = json.loads(test_bits.GOLDEN.read_text())
    for inputs, (x, operators) in test_bits.INPUTS.items():
        found = test_bits.build(operators, method, x.shape, on)(x)
        for operator, y in zip(operators, found, strict=True):
            key = f"{operator} {method} {inputs}"
            assert test_bits.sha(y) == golden[key]["bits"], key


@pytest.mark.parametrize("name", WITHOUT)
def test_exp_keeps_its_bound_where_two_roundings_break_it(name):
    on = WITHOUT[name]
    if not runs_here(on):
        pytest.skip("this machine does not run it")
    x = np.linspace(80, 88.5, 1 << 15, dtype=np.float32)
    (q,) = test_bits.build(["exp"], "quake3", x.shape, on)(x)
    y = np.exp(x.astype(np.float64))
    assert np.max(np.abs(q - y) / y) <= bound("exp", "quake3").relative


@pytest.mark.skipif(RELAY, reason="Relay's tests build by every road")
def test_the_pass_alone_will_do():
    """TVM schedules and builds the module. Nothing of this library runs after the pass."""
    from tvm import relax

    on = WITHOUT["x86-64-v2"]
    if not runs_here(on):
        pytest.skip("this machine does not run it")
    x, builder = relax.Var("x", relax.TensorType((4096,), "float32")), relax.BlockBuilder()
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.op.sigmoid(x)))
    mod = quake_tvm.QuAKE(method="quake4")(builder.get())
    array = np.linspace(-100, 100, 4096, dtype=np.float32)
    results = []
    for each in (on, target()):
        machine = relax.VirtualMachine(tvm.compile(mod, each), tvm.cpu())
        results.append(machine["main"](tvm.runtime.tensor(array)).numpy())
    np.testing.assert_array_equal(*results)
