"""Every quantized operator has the same bytes on CPUs with and without dot products of bytes."""

import numpy as np
import pytest

import quake_tvm
from quake_tvm.emulation.board import Board
from quake_tvm.machines.targets import runs_here, target
from tests.emulation.machines import emulated
from tests.importers.onnx.cases.case import K, c, f, i, model_of, s
from tests.importers.onnx.cases.quantized_operators import (
    numbers,
    quantized_operators,
    scales,
    zero,
)

# The newest opset of which ONNX Runtime's operators here are.
OPSET = 21


def depthwise(window: int, **options: object):
    """A depthwise QLinearConv."""
    x, w = numbers(1, 24, 11, 13), numbers(24, 1, window, window, dtype="int8")
    bias = K(i(24, low=-999, high=999, dtype="int32"))
    weights = [K(w), scales(24), K(np.zeros(24, "int8"))]
    given, result = [s(0.02), zero(101)], [s(0.9), zero(120)]
    pads = [window // 2] * 4
    return c("QLinearConv", x, *given, *weights, *result, bias, group=24, pads=pads, **options)


def rounded():
    """Products and look-ups between a quantization and another."""
    return [
        c("QuantizeLinear", f(7, 33), s(0.03), zero(128)),
        c("DynamicQuantizeLinear", f(7, 33), outputs=3),
    ]


CASES = [
    *quantized_operators(),
    *rounded(),
    depthwise(3),
    depthwise(5, strides=[2, 2]),
    depthwise(3, dilations=[2, 2]),
]


@pytest.fixture(scope="module")
def here():
    """The model, its inputs, and its outputs on this machine."""
    model, feeds = model_of(CASES, OPSET)
    return model, feeds, quake_tvm.compile(model, method="quake2").run(feeds)


def assert_same(found, wanted):
    names = [case.operator for case in CASES for _ in range(case.outputs)]
    for name, ours, theirs in zip(names, found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["x86-64-v2", pytest.param("x86-64-v3", marks=pytest.mark.sweep), "x86-64-v4"]
)
def test_without_vnni(name, here):
    model, feeds, wanted = here
    on = target(name)
    if not runs_here(on):
        pytest.skip(f"this machine does not run {name}")
    assert_same(quake_tvm.compile(model, on, "quake2").run(feeds), wanted)


# Without dot products, with sdot, and with usdot and smmla.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cortex-a72", "neoverse-n1", "neoverse-v1"])
def test_arm(name, here):
    model, feeds, wanted = here
    there = emulated(name)
    with Board(there) as own, quake_tvm.connect(f"127.0.0.1:{own.port}") as connection:
        made = quake_tvm.compile(model, there, "quake2")
        assert_same(connection.load(made).run(feeds), wanted)
