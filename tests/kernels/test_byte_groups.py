"""Rows of bytes in groups, and rows of floats as bytes: every length, kind and special value."""

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.machines.targets import target
from quake_tvm.numerics.byte_dots import FORMATS
from quake_tvm.passes.relax import lower_kernels
from quake_tvm.schedules import schedule

LENGTHS = (1, 2, 3, 7, 15, 16, 17, 31, 64, 70, 259)
ROWS = (1, 5)
KINDS = list({form.left: form for form in FORMATS}.values())
by_format = pytest.mark.parametrize("form", KINDS, ids=[form.left for form in KINDS])
RNG = np.random.default_rng(0)


def built(kernels):
    """One library of kernels: name to (KernelSpec, shape and dtype of the input)."""
    functions = {}
    for name, (spec, shape, dtype) in kernels.items():
        function = spec.function([te.placeholder(shape, dtype, "x")])
        done = schedule(function.with_attrs(spec.attributes), target())
        assert done.attrs["quake.rule"] == "rows"
        functions[name] = done.with_attr("global_symbol", name)
    return tvm.compile(tvm.IRModule(functions), target(), tir_pipeline=lower_kernels.NAME)


def called(library, name, x, *results):
    made = [tvm.runtime.empty(shape, dtype) for shape, dtype in results]
    library[name](tvm.runtime.tensor(x), *made)
    return [each.numpy() for each in made]


def elements(form, groups, length):
    return groups.view(form.left)[..., :length].astype(np.int64)


@by_format
def test_bytes(form):
    spec = KernelSpec("byte_groups", {"left": form.left})
    cases = {
        f"{dtype}_{rows}_{length}": (spec, (rows, 2, length), dtype)
        for dtype in ("int8", "uint8")
        for rows in ROWS
        for length in LENGTHS
    }
    library = built(cases)
    for name, (_, shape, dtype) in cases.items():
        x = np.resize(np.arange(256, dtype=np.uint8), shape).view(dtype)
        size = -(-shape[-1] // form.group)
        (groups,) = called(library, name, x, ((*shape[:-1], size), "int32"))
        wanted = x.astype(np.int64) + form.shift(dtype)
        np.testing.assert_array_equal(elements(form, groups, shape[-1]), wanted, name)


@by_format
def test_floats(form):
    spec = KernelSpec("quantized_rows", {"left": form.left}, results=3)
    cases = {
        f"of_{rows}_{length}": (spec, (rows, length), "float32")
        for rows in ROWS
        for length in LENGTHS
    }
    library = built(cases)
    for name, (_, (rows, length), _) in cases.items():
        x = RNG.normal(RNG.normal(), 1, (rows, length)).astype(np.float32)
        x[0] = 0
        size = -(-length // form.group)
        groups, scales, zeros = called(
            library, name, x, ((rows, size), "int32"), ((rows,), "float32"), ((rows,), "int32")
        )
        q = elements(form, groups, length) - zeros[:, None]
        assert (scales > 0).all()
        assert (
            np.abs(q * scales[:, None].astype(np.float64) - x) <= scales[:, None] * 0.5001
        ).all()
        span = np.maximum(x.max(1), 0).astype(np.float64) - np.minimum(x.min(1), 0)
        np.testing.assert_allclose(scales[1:], span[1:] / 255, rtol=1e-6)
        assert (zeros >= form.least).all()
        assert (zeros <= form.least + 255).all()


@by_format
def test_special_rows(form):
    length = 37
    spec = KernelSpec("quantized_rows", {"left": form.left}, results=3)
    bad = [np.nan, -np.nan, np.inf, -np.inf]
    rows = [np.zeros(length)]
    rows += [np.where(np.arange(length) == at, v, 1) for v in bad for at in (0, 15, 16, 36)]
    rows += [np.full(length, v) for v in (3.4e38, -3.4e38, 1e-45, -1e-38)]
    x = np.stack(rows).astype(np.float32)
    shapes = ((len(x), -(-length // form.group)), "int32"), ((len(x),), "float32")
    groups, scales, zeros = called(
        built({"special": (spec, x.shape, "float32")}), "special", x, *shapes, ((len(x),), "int32")
    )
    assert np.isnan(scales[1:17]).all()
    ok = np.isfinite(x).all(1)
    assert (scales[ok] > 0).all()
    q = (elements(form, groups, length) - zeros[:, None])[ok]
    off = np.abs(q * scales[ok, None].astype(np.float64) - x[ok])
    assert (off <= scales[ok, None] * 0.5001).all()
    assert not q[0].any()
