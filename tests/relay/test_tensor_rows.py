"""Operators over rows as tensor expressions: bounds, special rows, vectors in the assembly."""

import functools
import re

import numpy as np
import pytest
import tvm
from tvm import relay, te
from tvm.runtime.vm import VirtualMachine

import quake_tvm
from quake_tvm.kernels import tensor_rows
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound
from quake_tvm.passes.relay import tensor_rows_schedule

NAMES = [name for name, row in OPERATORS.items() if not row.elementwise]
SHAPES = [
    (1,),
    (37,),
    (3, 1),
    (5, 2),
    (4, 15),
    (4, 16),
    (2, 3, 17),
    (7, 128),
    (2, 2, 100),
    (90, 197),
]


@functools.cache
def kernel(operator, method, shape, on=None, mask=None, **options):
    x = te.placeholder(shape, name="x")
    inputs = [x] if mask is None else [x, te.placeholder(mask, name="mask")]
    y = getattr(tensor_rows, operator)(*inputs, method=method, **options)
    on = on or target()
    with on:
        return tvm.build(tensor_rows_schedule.schedule([y], on), [*inputs, y], on), y.shape


def run(operator, method, x, mask=None, **options):
    arrays = [np.float32(a) for a in (x, mask) if a is not None]
    shapes = {} if mask is None else {"mask": mask.shape}
    built, shape = kernel(operator, method, x.shape, **shapes, **options)
    result = tvm.nd.empty([int(n) for n in shape])
    built(*map(tvm.nd.array, arrays), result)
    return result.numpy()


def exact(operator, x):
    x = np.asarray(x, np.float64)
    top = x.max(axis=-1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0) if operator == "logsumexp" else top
    e = np.exp(x - shift)
    total = e.sum(axis=-1, keepdims=True)
    if operator == "softmax":
        return e / total
    log = np.log(total)
    return x - top - log if operator == "log_softmax" else (shift + log)[..., 0]


def assert_within(operator, method, q, y, length):
    """Check the bound plus the rounding error of any order of summation."""
    promised, rounding = bound(operator, method), length * 2.0**-24
    relative = promised.relative + (rounding if operator == "softmax" else 0)
    absolute = promised.absolute + (0 if operator == "softmax" else rounding)
    same = (q == y) | (np.isnan(q) & np.isnan(y))
    with np.errstate(invalid="ignore"):
        close = np.abs(q - y) <= relative * np.abs(y) + absolute
    assert np.all(same | close)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("operator", NAMES)
def test_any_length(operator, shape):
    x = np.random.default_rng(0).normal(0, 4, shape).astype(np.float32)
    assert_within(operator, "quake3", run(operator, "quake3", x), exact(operator, x), shape[-1])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", NAMES)
def test_every_rung(operator, method):
    x = np.random.default_rng(1).normal(0, 4, (64, 50)).astype(np.float32)
    assert_within(operator, method, run(operator, method, x), exact(operator, x), 50)


@pytest.mark.parametrize("length", [48, 37])
@pytest.mark.parametrize("mask", [(1, 1), (5, 1), (1, 4, 1, 1), (2, 4, 5, 1)])
def test_scale_and_mask(mask, length):
    rng = np.random.default_rng(2)
    x = rng.normal(0, 4, (2, 4, 5, length)).astype(np.float32)
    m = np.where(rng.random((*mask[:-1], length)) < 0.3, -np.inf, rng.normal(size=mask))
    m[..., 0] = 0
    m = m.astype(np.float32)
    wanted = exact("softmax", x * 0.125 + m)
    assert_within("softmax", "quake4", run("softmax", "quake4", x, m, scale=0.125), wanted, length)
    wanted = exact("softmax", x * 0.125)
    assert_within("softmax", "quake4", run("softmax", "quake4", x, scale=0.125), wanted, length)


@pytest.mark.parametrize("operator", NAMES)
def test_leading_rows_do_not_matter(operator):
    x = np.random.default_rng(5).normal(size=(6, 37)).astype(np.float32)
    whole = run(operator, "quake2", x)
    for index, row in enumerate(x):
        np.testing.assert_array_equal(whole[index], run(operator, "quake2", row))


def test_keepdims():
    x = np.random.default_rng(3).normal(size=(3, 20)).astype(np.float32)
    kept = run("logsumexp", "quake2", x, keepdims=True)
    np.testing.assert_array_equal(kept[:, 0], run("logsumexp", "quake2", x))


INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", NAMES)
@pytest.mark.parametrize("padding", [0, 13, 14])
def test_special_rows(operator, method, padding):
    rows = [
        [0, NAN, 1],
        [0, INF, 1],
        [INF, INF, 1],
        [-INF, -INF, -INF],
        [-INF, 0, -INF],
        [-3.4028235e38, 2, 1],
    ]
    x = np.float32([row + [-INF] * padding for row in rows])
    with np.errstate(all="ignore"):
        y = exact(operator, x)
    if operator == "logsumexp":
        y[[1, 2]], y[3] = INF, -INF
    assert_within(operator, method, run(operator, method, x), y, x.shape[1])


ARM = {"keys": ["arm_cpu", "cpu"]}
ARMV7 = {
    "kind": "llvm",
    "mtriple": "armv7l-linux-gnueabihf",
    "mattr": ["+neon", "+vfp4"],
    "mfloat-abi": "hard",
    **ARM,
}
AARCH64 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mattr": ["+neon"], **ARM}
# Targets, with their vector and scalar instructions for maxima and sums.
MACHINES = {
    "x86-64-v3": ("x86-64-v3", r"v{}ps\s.*ymm", r"v{}ss\s", ("max", "add")),
    "x86-64-v4": ("x86-64-v4", r"v{}ps\s.*zmm", r"v{}ss\s", ("max", "add")),
    "aarch64": (AARCH64, r"f{}\s+v\d+\.4s", r"f{}\s+s\d", ("cmgt", "add")),
    "armv7": (ARMV7, r"v{}\.f32\s+q", r"v{}\.f32\s+s", ("cgt", "add")),
}


@pytest.mark.parametrize("length", [128, 197])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("machine", MACHINES)
def test_maxima_and_sums_are_vectors(machine, masked, length):
    on, vector, scalar, instructions = MACHINES[machine]
    options = {"mask": (1, length)} if masked else {}
    built, _ = kernel("softmax", "quake3", (64, length), target(on), scale=0.5, **options)
    assembly = built.get_source("asm")
    for instruction in instructions:
        assert re.search(vector.format(instruction), assembly)
        # Scalar instructions for the last four lanes only.
        assert len(re.findall(scalar.format(instruction), assembly)) <= 4


@pytest.mark.parametrize("tuner", ["meta_schedule", "auto_scheduler"])
@pytest.mark.parametrize("length", [1, 40])
def test_unknown_lengths_need_no_tuner(tuner, length):
    x = relay.var("x0", shape=(relay.Any(), relay.Any()), dtype="float32")
    mod = quake_tvm.QuAKE(method="quake3")(tvm.IRModule.from_expr(relay.nn.softmax(x)))
    config = {f"relay.backend.use_{tuner}": True}
    with (
        tvm.meta_schedule.database.MemoryDatabase(),
        tvm.transform.PassContext(opt_level=3, config=config),
    ):
        machine = VirtualMachine(relay.vm.compile(mod, target()), tvm.cpu())
    data = np.random.default_rng(4).normal(0, 4, (9, length)).astype(np.float32)
    found = machine.invoke("main", tvm.nd.array(data)).numpy()
    assert_within("softmax", "quake3", found, exact("softmax", data), length)
