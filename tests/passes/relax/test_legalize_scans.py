"""Running sums and products: dynamic tensors give NumPy's results, static ones TVM's kernels."""

import numpy as np
import pytest
import tvm
from tvm import relax, tirx

import quake_tvm
from quake_tvm.passes.relax.legalize_scans import LegalizeScans
from tests.helpers import module

op = relax.op
SIZES = [(2, 3, 4, 5), (1, 1, 1, 1), (3, 1, 7, 33), (0, 2, 2, 2), (2, 0, 3, 2), (2, 3, 0, 2)]
SIZES += [(2, 3, 4, 0), (0, 0, 0, 0)]


def shape():
    return tuple(tirx.Var(name, "int64") for name in "nchw")


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_dynamic(name, axis):
    def formula(x):
        scan = getattr(op, name)
        return scan(x, axis), scan(x, axis, exclusive=True), scan(x, axis, "float64")

    compiled = quake_tvm.compile(module(formula, shape()), method="exact")
    for sizes in SIZES:
        x = np.random.default_rng(0).normal(size=sizes).astype(np.float32)
        whole, exclusive, wide = compiled.run(x)
        wanted = getattr(np, name)(x, axis)
        np.testing.assert_array_equal(whole, wanted)
        first = np.full_like(np.take(wanted, [0], axis), name == "cumprod") if x.size else wanted
        shifted = np.concatenate([first, np.delete(wanted, -1, axis)], axis) if x.size else wanted
        np.testing.assert_allclose(exclusive, shifted, rtol=1e-6)
        np.testing.assert_allclose(wide, getattr(np, name)(x.astype("float64"), axis), rtol=1e-12)
        assert wide.dtype == np.float64


def test_static_and_flattened_are_tvms():
    for mod in (module(lambda x: op.cumsum(x, 1), (2, 3, 4)), module(op.cumsum, shape())):
        tvm.ir.assert_structural_equal(LegalizeScans()(mod), mod)


def test_nothing_fuses_with_a_scan():
    def formula(x):
        return op.exp(op.cumsum(op.image.resize2d(op.negative(x), (6, 8), method="linear"), 1))

    x = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype(np.float32)
    (wanted,) = quake_tvm.compile(module(formula, x.shape), method="exact").run(x)
    compiled = quake_tvm.compile(module(formula, (shape()[0], *x.shape[1:])), method="exact")
    np.testing.assert_allclose(compiled.run(x)[0], wanted, rtol=1e-5)
