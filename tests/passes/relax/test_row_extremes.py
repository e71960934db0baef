"""Extremes of long rows are kernels over rows, and a minimum and a maximum come from one."""

import numpy as np
import pytest
from tvm import relax, tirx

import quake_tvm
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.passes.relax.row_extremes import RowExtremes
from tests.helpers import module, once

op = relax.op
RNG = np.random.default_rng(0)
# Shapes and axes. The last chunk of a row of 130 or 201 elements overlaps the one before.
CASES = [
    ((5, 130), [1]),
    ((3, 1, 201), [-1]),
    ((2, 3, 4, 64), [2, 3]),
    ((16, 512), None),
    ((1, 4096), None),
    ((4, 3, 2048), [0, 1, 2]),
]


def values(shape):
    x = RNG.normal(size=shape).astype(np.float32)
    flat = x.reshape(-1)
    flat[-1], flat[0] = -99, 99
    return x


@pytest.mark.parametrize("keepdims", [False, True])
def test_values(keepdims):
    shapes = [shape for shape, _ in CASES]
    kinds = [(op.min, np.min), (op.max, np.max)]

    def formula(*inputs):
        return tuple(
            ours(x, axis=axes, keepdims=keepdims)
            for x, (_, axes) in zip(inputs, CASES, strict=True)
            for ours, _ in kinds
        )

    model = quake_tvm.compile(module(formula, *shapes))
    for special in (0, np.inf, -np.inf, np.nan):
        inputs = list(map(values, shapes))
        for x in inputs:
            x.reshape(-1)[x.size // 2] = special
        results = iter(model.run(inputs))
        for x, (_, axes) in zip(inputs, CASES, strict=True):
            for _, numpys in kinds:
                along = None if axes is None else tuple(axes)
                wanted = numpys(x, axis=along, keepdims=keepdims)
                np.testing.assert_array_equal(next(results), wanted)


def test_any_number_of_rows():
    b, t = (tirx.Var(name, "int64") for name in "bt")
    mod = module(
        lambda x, y: (op.max(x, axis=[-1]), op.min(y, axis=[2, 3], keepdims=True)),
        *[(b, t, 130), (b, 3, 4, 64)],
    )
    model = quake_tvm.compile(mod)
    assert list(model.report.kernels.values()).count("rows") == 2
    for count, tokens in ((1, 1), (2, 7), (3, 0), (0, 5), (5, 40)):
        x = RNG.normal(size=(count, tokens, 130)).astype(np.float32)
        y = RNG.normal(size=(count, 3, 4, 64)).astype(np.float32)
        x[..., 129:] = np.nan
        largest, least = model.run([x, y])
        np.testing.assert_array_equal(largest, x.max(axis=-1))
        np.testing.assert_array_equal(least, y.min(axis=(2, 3), keepdims=True))


def kernels(formula, *shapes):
    """The options of the kernels over rows that a module gets."""
    found = RowExtremes()(module(formula, *shapes))
    made = [KernelSpec.of(f) for f in found.functions.values() if isinstance(f, tirx.PrimFunc)]
    return [kernel.options["kinds"] for kernel in made]


def of_computed(x):
    y = once(op.exp(x))
    return op.min(y), op.max(y)


def test_both_of_one_tensor_are_one_kernel():
    assert kernels(of_computed, (16, 512)) == [["max", "min"]]
    assert kernels(lambda x: (op.min(x), op.max(x)), (16, 512)) == [["max", "min"]]
    assert kernels(lambda x: (op.min(x, axis=1), op.max(x, axis=-1)), (16, 512)) == [["max", "min"]]
    assert kernels(lambda x: op.max(x, axis=1), (16, 512)) == [["max"]]
    both = kernels(lambda x, y: (op.min(x, axis=1), op.max(y, axis=1)), (16, 512), (16, 512))
    assert sorted(both) == [["max"], ["min"]]


SIZE = tirx.Var("n", "int64")


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        *[((16, 512), 0), ((16, 8), 1), ((512,), None), ((7, 31), None), ((0, 512), 1)],
        *[((SIZE, 512), None), ((512, SIZE), 1), ((SIZE, 8), 1)],
    ],
)
def test_what_stays(shape, axis):
    assert not kernels(lambda x: op.max(x, axis=axis), shape)
